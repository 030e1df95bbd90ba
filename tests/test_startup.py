"""TensorFlow without its notes, in processes of their own: a note comes once in a process."""

import os
import platform
import subprocess
import sys

import pytest

import nst_course.startup as startup


def run(code, **variables):
    environment = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment | variables)


def test_the_notes_are_held_back():
    started = run(
        "import os; from nst_course import start_tensorflow; start_tensorflow(); start_tensorflow()\n"
        "import tensorflow as tf; print(int(tf.constant(1) + 1)); os.write(2, b'kept')"
    )
    assert (started.returncode, started.stdout, started.stderr) == (0, "2\n", "kept")


def test_what_is_said_of_a_failure_is_not_held_back(tmp_path):
    (tmp_path / "tensorflow.py").write_text("import os; os.write(2, b'the reason\\n'); raise ImportError('broken')")
    started = run("from nst_course import start_tensorflow; start_tensorflow()", PYTHONPATH=str(tmp_path))
    assert started.returncode == 1
    assert "the reason\n" in started.stderr and "ImportError: broken" in started.stderr


@pytest.mark.skipif(os.name == "nt", reason="the streams of a POSIX shell")
def test_a_closed_error_stream_is_no_hindrance():
    code = "import sys; from nst_course import start_tensorflow; start_tensorflow(); print(sys.stderr)"
    started = subprocess.run(
        ["bash", "-c", '"$0" -c "$1" 2>&-', sys.executable, code], stdout=subprocess.PIPE, text=True
    )
    assert (started.returncode, started.stdout) == (0, "None\n")


def test_graph_mode_can_be_chosen_afterwards():
    started = run(
        "from nst_course import start_tensorflow; start_tensorflow(); import tensorflow.compat.v1 as tf\n"
        "tf.disable_eager_execution(); tf.Session().close(); print(tf.executing_eagerly())"
    )
    assert (started.returncode, started.stdout) == (0, "False\n"), started.stderr


KEPT = """
import resource
import numpy as np
from nst_course.startup import keep_memory
print(keep_memory())
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
np.ones(5 * 2**20)  # 40 MB, more than glibc ever keeps by itself
before = faults()
for _ in range(10):
    np.ones(5 * 2**20)
print(faults() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the setting is glibc's")
def test_freed_memory_is_kept():
    kept, given_back = run(KEPT), run(KEPT, NST_COURSE_KEEP_MEMORY="0")
    assert (kept.stderr, given_back.stderr) == ("", "")
    (done, faults), (not_done, more) = kept.stdout.split(), given_back.stdout.split()
    assert (done, not_done) == ("True", "False")
    assert 10 * int(faults) < int(more)


def test_another_allocator_is_left_alone(monkeypatch):
    monkeypatch.setattr(startup, "_address", id)  # malloc of the process is not glibc's
    assert not startup.keep_memory()


def test_other_systems_are_left_alone(monkeypatch):
    monkeypatch.setattr(startup.sys, "platform", "darwin")
    assert not startup.keep_memory()


@pytest.mark.parametrize("module", ["session", "eager.stylize", "feedforward.training"])
def test_every_edition_keeps_memory(module):
    code = "import nst_course.startup as s; kept = []; s.keep_memory = lambda: kept.append(1)"
    assert run(f"{code}; import nst_course.{module}; print(bool(kept))").stdout == "True\n"


WITHOUT_NOTES = """
import os
from nst_course.startup import without_notes
os.write(2, b"before ")
with without_notes():
    os.write(2, b"a library's note ")
os.write(2, b"after")
os.close(2)
with without_notes():
    print("done", flush=True)
"""


def test_notes_of_libraries_are_dropped_and_a_closed_stream_does_no_harm():
    done = subprocess.run([sys.executable, "-c", WITHOUT_NOTES], capture_output=True, text=True, timeout=600)
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "before after")
