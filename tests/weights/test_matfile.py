"""The streaming reader of MATLAB 5 files, held to SciPy's writer and reader, and to files made to hurt it."""

import io
import os
import pathlib
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
import scipy.io
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from nst_course.weights import matfile as _matfile
from nst_course.weights.matfile import MatFileError, variables


def read_all(content):
    """Read every variable whole."""
    found = {}
    for name, read in variables(io.BytesIO(content)):
        value = read()
        found[name] = value if isinstance(value, np.ndarray | str | list) else list(value)
    return found


def write(contents, compressed=False):
    file = io.BytesIO()
    scipy.io.savemat(file, contents, do_compression=compressed, long_field_names=True)
    return file.getvalue()


def plain(loaded):
    """Turn what loadmat gives into what `variables` gives."""
    if loaded.dtype.names:
        return [{name: plain(item[name]) for name in loaded.dtype.names} for item in loaded.ravel(order="F")]
    if loaded.dtype == object:
        return [plain(item) for item in loaded.ravel(order="F")]
    if loaded.dtype.kind == "U":
        return str(loaded[0]) if loaded.size else ""
    return loaded


def assert_same(ours, theirs):
    assert type(ours) is type(theirs)
    if isinstance(ours, list):
        assert len(ours) == len(theirs)
        for a, b in zip(ours, theirs):
            assert_same(a, b)
    elif isinstance(ours, dict):
        assert list(ours) == list(theirs)
        for key in ours:
            assert_same(ours[key], theirs[key])
    elif isinstance(ours, str):
        assert ours == theirs
    else:
        assert ours.dtype == theirs.dtype and ours.shape == theirs.shape
        np.testing.assert_array_equal(ours, theirs)


# -------------------------------------------------------------------------------------------------- against SciPy

NUMBERS = st.sampled_from(["f4", "f8", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"]).flatmap(
    lambda dtype: arrays(np.dtype(dtype), array_shapes(min_dims=2, max_dims=5, min_side=0, max_side=4))
)
# savemat drops trailing blanks of no text, but writes what is outside the first plane of Unicode as two characters.
TEXT = st.text(st.characters(min_codepoint=33, max_codepoint=0x2FF, exclude_categories=["Cs", "Cc"]), min_size=1)
FIELDS = st.from_regex(r"[a-z][a-zA-Z0-9_]{0,40}", fullmatch=True)


def _cell(items):
    cell = np.empty((1, len(items)), object)
    for i, item in enumerate(items):
        cell[0, i] = item
    return cell


def _struct(fields):
    array = np.empty((1, 1), [(name, object) for name in fields])
    array[0, 0] = tuple(fields.values())
    return array


VALUES = st.recursive(
    NUMBERS | TEXT,
    lambda inner: (
        st.lists(inner, min_size=1, max_size=4).map(_cell)
        | st.dictionaries(FIELDS, inner, min_size=1, max_size=4).map(_struct)
    ),
    max_leaves=10,
).filter(lambda value: _depth(value) < _matfile.MAX_DEPTH)


def _depth(value):
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "OV":
        return 0
    inner = value.ravel() if value.dtype == object else [v for v in value[0, 0]]
    return 1 + max(map(_depth, inner), default=0)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(FIELDS, VALUES, min_size=1, max_size=3), st.booleans())
def test_reads_what_loadmat_reads(contents, compressed):
    content = write(contents, compressed)
    theirs = scipy.io.loadmat(io.BytesIO(content))
    ours = read_all(content)
    assert list(ours) == list(contents)
    for name in contents:
        assert_same(ours[name], plain(theirs[name]))


@pytest.mark.parametrize("compressed", [False, True])
def test_by_hand(compressed):
    """Not by hypothesis, so that every kind is sure to be met."""
    contents = {
        "small": np.array([[3]], np.uint8),
        "long": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
        "text": "gr\u00fcn \u03b1",
        "cell": _cell(["a", np.arange(3.0), _cell([]), np.zeros((0, 0))]),
        "struct": _struct({"name": "conv1_1", "a_rather_long_name_of_a_field_of_63": np.ones((2, 2), np.int16)}),
        "bool": np.array([[True, False]]),
    }
    content = write(contents, compressed)
    theirs = scipy.io.loadmat(io.BytesIO(content))
    for name, value in read_all(content).items():
        assert_same(value, plain(theirs[name]))


def test_variables_can_be_passed_over():
    content = write({"a": _cell(["x"] * 5), "b": np.ones((3, 3)), "c": "wanted"}, True)
    assert [read() for name, read in variables(io.BytesIO(content)) if name == "c"] == ["wanted"]
    for name, read in variables(io.BytesIO(content)):
        if name == "a":
            assert next(read()) == "x"  # one cell of five: the rest must not be in the way of b
        elif name == "b":
            np.testing.assert_array_equal(read(), np.ones((3, 3)))


# ------------------------------------------------------------------------------------------ a writer of any element


def element(kind, data, order="<"):
    if 0 < len(data) <= 4 and kind != 14:
        return struct.pack(order + "I", len(data) << 16 | kind) + data.ljust(4, b"\0")
    return struct.pack(order + "II", kind, len(data)) + data + b"\0" * (-len(data) % 8)


def array(array_class, dims, body, name=b"", order="<"):
    flags = struct.pack(order + "II", array_class, 0)
    sizes = struct.pack(f"{order}{len(dims)}i", *dims)
    return element(14, element(6, flags, order) + element(5, sizes, order) + element(1, name, order) + body, order)


def mat(*elements, order="<"):
    return b"MATLAB 5.0 MAT-file".ljust(124) + (b"\0\1IM" if order == "<" else b"\1\0MI") + b"".join(elements)


def packed(data):
    data = zlib.compress(data, 9)
    return struct.pack("<II", 15, len(data)) + data


def numbers(values, name=b"", order="<"):
    values = np.asarray(values, order + "f8")
    return array(6, values.shape, element(9, values.tobytes("F"), order), name, order)


def test_big_endian():
    content = mat(
        numbers([[1.5, 2.5, 3.5]], b"x", ">"),
        array(4, (1, 3), element(17, "a\u03b1\u00fc".encode("utf-16-be"), ">"), b"t", ">"),
        array(1, (1, 2), numbers([[1.0]], order=">") + numbers([[2.0], [3.0]], order=">"), b"c", ">"),
        order=">",
    )
    theirs = scipy.io.loadmat(io.BytesIO(content))
    ours = read_all(content)
    assert ours["t"] == "a\u03b1\u00fc" == theirs["t"][0]
    for a, b in zip([ours["x"], *ours["c"]], [theirs["x"], *theirs["c"][0]]):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("kind, encoding", [(16, "utf-8"), (17, "utf-16-le"), (18, "utf-32-le"), (4, "utf-16-le")])
def test_text_in_every_encoding(kind, encoding):
    text = "gr\u00fcn" if kind != 4 else "green"
    assert read_all(mat(array(4, (1, len(text)), element(kind, text.encode(encoding)), b"t"))) == {"t": text}


BOMB = zlib.compress(b"\0" * 2**20, 9)
HOSTILE = {
    "not MATLAB": (b"hello", "not a MATLAB 5 file"),
    "no text": (b"\0" * 200, "not a MATLAB 5 file"),
    "an element of an unknown type": (mat(element(99, b"12345678")), "type 99 stands where a variable is expected"),
    "zeros behind the last variable": (mat(numbers([[1.0]], b"x"), b"\0" * 16), "type 0 stands where a variable"),
    "a few bytes behind the last variable": (mat(numbers([[1.0]], b"x"), b"\0" * 3), "ends in the middle"),
    "a size beyond the file": (mat(struct.pack("<II", 14, 2**31), b"\0" * 64), "it is truncated: 2,147,483,784 bytes"),
    "negative dimensions": (mat(array(6, (-1, -1), element(9, b"\0" * 8), b"x")), "header makes no sense"),
    "nine dimensions": (mat(array(6, (1,) * 9, element(9, b"\0" * 8), b"x")), "header makes no sense"),
    "no dimensions": (mat(array(6, (), element(9, b"\0" * 8), b"x")), "header makes no sense"),
    "a product that wraps around to 0": (mat(array(6, (2**16,) * 4, element(9, b""), b"x")), "holds 0 numbers"),
    "an empty array of enormous sides": (mat(array(6, (0, *[2**31 - 1] * 7), element(9, b""), b"x")), "has dimensions"),
    "fewer numbers than declared": (mat(array(6, (10**5, 10**4), element(9, b"\0" * 8), b"x")), "holds 1 numbers"),
    "a fraction of a number": (mat(array(6, (1, 1), element(9, b"\0" * 12), b"x")), "a fraction of a number"),
    "an element larger than an array may be": (
        mat(packed(array(6, (1, 1), struct.pack("<II", 9, 2**32 - 1), b"x"))),
        "4,294,967,295 bytes stands where at most",
    ),
    "an element larger than the file": (mat(packed(array(6, (1, 1), struct.pack("<II", 9, 2**26), b"x"))), "middle"),
    "text as numbers": (mat(array(6, (1, 1), element(16, b"12345678"), b"x")), "element of type 16 stands"),
    "an unknown class": (mat(array(17, (1, 1), element(9, b"\0" * 8), b"x")), "an array of class 17"),
    "10^9 cells": (mat(packed(array(1, (10**9, 1), b"", b"x"))), "ends in the middle"),
    "10^9 empty cells": (
        mat(packed(array(1, (10**9, 1), struct.pack("<II", 14, 0) * 10**5, b"x"))),
        "more than 50,000 arrays",
    ),
    "10^18 structs without a field": (
        mat(array(2, (10**9, 10**9), element(5, struct.pack("<i", 8)) + element(1, b""), b"x")),
        "more than 50,000 arrays",
    ),
    "fields of no length": (
        mat(array(2, (1, 1), element(5, struct.pack("<i", 0)) + element(1, b"abc"), b"x")),
        "field names make no sense",
    ),
    "no field length": (mat(array(2, (1, 1), element(5, b"") + element(1, b"abc"), b"x")), "header makes no sense"),
    "damaged compression": (mat(struct.pack("<II", 15, 12), b"not deflated"), "it is damaged: Error"),
    "compression that stops": (mat(packed(numbers(np.ones((99, 99)), b"x"))[:100]), "truncated"),
    "compression that goes on behind its element": (
        mat(struct.pack("<II", 15, 20) + zlib.compress(numbers(np.arange(500.0)[None], b"x"))),
        "ends in the middle",
    ),
    "a compressed element inside another": (mat(packed(packed(numbers([[1.0]], b"x")))), "type 15 stands"),
    "dimensions that are no number": (
        mat(element(14, element(6, b"\6" + b"\0" * 7) + element(9, struct.pack("<dd", np.nan, np.inf)) + b"\0" * 32)),
        "header makes no sense",
    ),
    "flags that are no number": (
        mat(element(14, element(9, struct.pack("<d", np.inf)) + element(5, b"\1\0\0\0" * 2) + b"\0" * 32)),
        "header makes no sense",
    ),
}


def _nested(depth):
    inner = numbers([[1.0]])
    for _ in range(depth):
        inner = array(1, (1, 1), inner)
    return mat(packed(array(1, (1, 1), inner, b"x")))


HOSTILE["deep nesting"] = _nested(2000), "nested too deeply"


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_files_are_refused(what):
    content, message = HOSTILE[what]
    with pytest.raises(MatFileError, match=message):
        read_all(content)


def test_the_deepest_nesting_that_is_read():
    assert read_all(_nested(_matfile.MAX_DEPTH - 1))["x"] != []
    with pytest.raises(MatFileError):
        read_all(_nested(_matfile.MAX_DEPTH + 1))


def test_the_limit_on_numbers_is_the_files(monkeypatch):
    monkeypatch.setattr(_matfile, "most_bytes", lambda n_bytes: 800)
    eights, bytes_ = np.zeros((1, 30)), np.zeros((1, 90), np.uint8)  # 240 bytes; 90, which as float32 are 360
    with pytest.raises(MatFileError, match="more than 800 bytes of numbers, too many for a file of its size"):
        read_all(write({"x": _cell([eights] * 3), "y": _cell([eights])}))
    assert len(read_all(write({"x": _cell([eights] * 3)}))["x"]) == 3
    with pytest.raises(MatFileError, match="more than 800 bytes of numbers"):
        read_all(write({"x": _cell([bytes_] * 3)}))
    assert len(read_all(write({"x": _cell([bytes_] * 2)}))["x"]) == 2


def test_a_small_file_may_hold_any_vggs_convolutions_and_a_large_one_more():
    assert _matfile.most_bytes(0) > 80_134_624  # the published file
    assert _matfile.most_bytes(29_000) < 2**28 < 600_000_000 < _matfile.most_bytes(534_904_783) <= 2**30


def test_the_limit_on_unpacking_counts_all_variables(monkeypatch):
    monkeypatch.setattr(_matfile, "most_bytes", lambda n_bytes: 300_000)
    bomb = {name: np.zeros((1, 25_000)) for name in "ab"}
    assert len(read_all(write({"a": bomb["a"]}, True))) == 1
    with pytest.raises(MatFileError, match="unpacks to more than"):
        read_all(write(bomb, True))
    # What is passed over costs nothing.
    content = write(bomb, True)
    assert [name for name, _ in variables(io.BytesIO(content))] == ["a", "b"]


BOMBS = """
import io, resource, struct, sys, zlib
sys.path.insert(0, sys.argv[1])
import test_matfile as t
from nst_course.weights.matfile import MatFileError
resource.setrlimit(resource.RLIMIT_AS, (3 * 2**29, 3 * 2**29))
# 400 MB of zeros in 2 MB, which as float32 would be 1.6 GB.
packer = zlib.compressobj(1)
n_cells, n_bytes = 3, 2**27
one = t.array(6, (1, n_bytes), b"")
head = t.array(1, (1, n_cells), b"", b"layers")
out = [packer.compress(head)]
zeros = bytes(2**22)
for _ in range(n_cells):
    out.append(packer.compress(struct.pack("<II", 14, 0x7FFFFFF8) + one[8:] + struct.pack("<II", 2, n_bytes)))
    for _ in range(n_bytes // len(zeros)):
        out.append(packer.compress(zeros))
data = b"".join(out) + packer.flush()
content = t.mat(struct.pack("<II", 15, len(data)) + data)
assert len(content) < 3e6
try:
    t.read_all(content)
except (MatFileError, MemoryError) as error:
    print("refused", type(error).__name__, error)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits on memory are Linux's")
def test_a_zip_bomb_is_refused_in_bounded_memory_and_time():
    done = subprocess.run(
        [sys.executable, "-c", BOMBS, str(pathlib.Path(__file__).parent)],
        capture_output=True,
        text=True,
        timeout=1800,
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("refused MatFileError it holds more than "), done.stdout


# ------------------------------------------------------------------------------------------------------------- fuzz

SAMPLE = {
    "layers": _cell(
        [_struct({"name": "conv1_1", "weights": _cell([np.ones((3, 3, 3, 2), np.float32), np.ones(2)])})] * 2
    ),
    "meta": _struct({"description": "a description", "classes": _cell(["cat", "dog"])}),
}
PLAIN, COMPRESSED = write(SAMPLE), write(SAMPLE, True)


@pytest.mark.parametrize("content", [PLAIN, COMPRESSED], ids=["plain", "compressed"])
def test_every_truncation_is_refused_or_ends_between_two_variables(content):
    whole = []
    for keep in range(len(content)):
        try:
            read_all(content[:keep])
        except MatFileError:
            continue
        whole.append(keep)
    assert len(whole) == len(SAMPLE)  # behind the header and behind the first variable
    assert whole[0] == 128


def test_every_flipped_byte_is_read_or_refused():
    for content in (PLAIN, COMPRESSED):
        for place in range(128, len(content), 1 if content is COMPRESSED else 2):
            for flip in (0x01, 0x80, 0xFF):
                damaged = bytearray(content)
                damaged[place] ^= flip
                try:
                    read_all(bytes(damaged))
                except MatFileError:
                    pass


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_random_damage_is_read_or_refused(data):
    content = bytearray(data.draw(st.sampled_from([PLAIN, COMPRESSED])))
    for _ in range(data.draw(st.integers(1, 8))):
        place = data.draw(st.integers(124, len(content) - 1))
        size = data.draw(st.sampled_from([1, 2, 4, 8]))
        content[place : place + size] = data.draw(st.binary(min_size=0, max_size=8))
    try:
        read_all(bytes(content))
    except MatFileError:
        pass


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300), st.booleans())
def test_random_bytes_behind_a_header(tail, compressed):
    with pytest.raises(MatFileError):
        read_all(mat(packed(tail) if compressed else tail) + b"\0")
