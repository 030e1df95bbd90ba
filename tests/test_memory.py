"""How much memory there is, and that no entrance lets a picture in that does not fit."""

import subprocess
import sys

import pytest

from nst_course import PictureTooLargeError, memory

MEMINFO = "MemTotal: 9 kB\nMemAvailable:  7 kB\n"


@pytest.mark.parametrize(
    "files, expected",
    [
        ({"meminfo": MEMINFO}, 7 * 1024),
        ({"meminfo": MEMINFO, "memory.max": "5000\n", "memory.current": "2000\n"}, 3000),
        ({"meminfo": MEMINFO, "memory.max": "max\n", "memory.current": "2000\n"}, 7 * 1024),
        ({"memory.limit_in_bytes": "100", "memory.usage_in_bytes": "400"}, 0),
        # Files that were read once are dropped when memory is asked for.
        ({"memory.max": "5000", "memory.current": "4900", "memory.stat": "anon 9\ninactive_file 4000\n"}, 4100),
        ({"memory.max": "5000", "memory.current": "3000", "memory.stat": "inactive_file 4000\n"}, 5000),
        (
            {"memory.limit_in_bytes": "90", "memory.usage_in_bytes": "80", "memory.stat": "total_inactive_file 70"},
            80,
        ),
        ({"memory.max": "5000", "memory.current": "4000", "memory.stat": "inactive_file\nfile x\n"}, 1000),
        ({}, None),
    ],
)
def test_available_memory(files, expected, monkeypatch):
    monkeypatch.setattr(memory, "_read", lambda path: files.get(path.rpartition("/")[2], ""))
    monkeypatch.setattr(memory, "_kept", lambda: 0)
    assert memory.available_memory() == expected


KEEPER = """
import resource, numpy as np
from nst_course.startup import keep_memory
from nst_course import memory
if not keep_memory() or memory._kept() == 0:
    raise SystemExit(77)
before = memory._kept()
a = np.ones(2**24)  # 128 MiB
during = memory._kept()
del a
print(memory._kept() - max(before, during) > 1.2e8)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's")
def test_memory_that_is_kept_for_the_next_evaluation_counts_as_free():
    done = subprocess.run([sys.executable, "-c", KEEPER], capture_output=True, text=True, timeout=600)
    if done.returncode == 77:
        pytest.skip("this C library does not say what it keeps")
    assert done.stdout == "True\n", done.stderr


def test_the_size_that_fits_is_the_largest_one():
    with pytest.raises(PictureTooLargeError) as caught:
        memory.check_room("A run", (300, 400), lambda size: size[0] * size[1], 30_000)
    # 200 x 150 are 30,000 pixels.
    assert str(caught.value) == (
        "A run at 400 x 300 pixels takes about 0.0 GB; 0.0 GB are free. At most 200 x 150 would fit: "
        "type resize_image(content, width=200)."
    )
    with pytest.raises(PictureTooLargeError, match="No size fits: close other programs"):
        memory.check_room("A run", (300, 400), lambda size: 1, 0)
    assert memory.check_room("A run", (300, 400), lambda size: 7, None) == 7


@pytest.mark.parametrize("error", [MemoryError(), type("ResourceExhaustedError", (Exception,), {})("a page of text")])
def test_an_error_of_memory_that_ran_out_is_a_sentence(error):
    with pytest.raises(PictureTooLargeError, match="^A run at 4 x 3 pixels took more memory than there is. Make the"):
        with memory.running_out("A run", (3, 4)):
            raise error
    with pytest.raises(KeyError), memory.running_out("A run", (3, 4)):
        raise KeyError("another")
