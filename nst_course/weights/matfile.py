"""A reader of MATLAB 5 files that streams: what is not wanted is passed over, never held in memory.

``scipy.io.loadmat`` unpacks all 576 MB of a VGG-19 to give the 80 MB of convolutions, and cannot be told how much a
hostile file may unpack to. This one yields the cells of one cell array one after another, so that its reader can stop.
Files are written by ``scipy.io.savemat``, which is also what the tests hold this reader to.

The format: "MAT-File Format", The MathWorks, level 5. Every element is a tag (type, number of bytes) and its data,
padded to 8 bytes; a data element of at most 4 bytes shares the 8 bytes of its tag. Types 1 to 13 are numbers, 14 is an
array (flags, dimensions, name, content), 15 a compressed element, 16 to 18 are text.
"""

import io
import math
import zlib

import numpy as np

_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_TEXT = {16: "utf-8", 17: "utf-16", 18: "utf-32", 4: "utf-16"}
_CELL, _STRUCT, _CHAR, _NUMERIC = 1, 2, 4, range(6, 16)

#: Nothing in a VGG comes near these. They bound what a hostile file can make us hold or wait for.
MAX_ARRAY_BYTES = 2**29
MAX_FILE_BYTES = 2**30
MAX_ARRAYS = 50_000
MAX_DEPTH = 8


def most_bytes(n_bytes):
    """Say how much of weights a file can honestly hold: trained numbers hardly pack, so that a small file holds little.

    Parameters
    ----------
    n_bytes : int
        The file's size.

    Returns
    -------
    int
        Bytes, as float32 or larger: 128 MiB, which is more than the convolutions of any VGG take, whatever is in them,
        and sixteen times the file's size; at most 1 GiB.
    """
    return min(MAX_FILE_BYTES, 2**27 + 16 * n_bytes)


class MatFileError(ValueError):
    """The file is not a MATLAB 5 file, or is damaged."""


class _Inflate(io.RawIOBase):
    """A compressed element as a stream of its content, at most `limit` bytes of it."""

    def __init__(self, file, n_bytes, limit):
        self._file, self._left, self._most, self.limit = file, n_bytes, limit, limit
        self._zlib = zlib.decompressobj()

    def readable(self):
        return True

    def readinto(self, buffer):
        while True:
            packed = self._zlib.unconsumed_tail
            if not packed:
                packed = self._file.read(min(self._left, 2**18))
                self._left -= len(packed)
            try:
                data = self._zlib.decompress(packed, len(buffer))
            except zlib.error as error:
                raise MatFileError(f"it is damaged: {error}") from error
            self.limit -= len(data)
            if self.limit < 0:
                raise MatFileError(f"it unpacks to more than {self._most:,} bytes")
            if data or not packed or self._zlib.eof:
                buffer[: len(data)] = data
                return len(data)


class _Bounds:
    """Refuses to hold more than a network needs, however few bytes it comes from."""

    def __init__(self, most):
        self.most, self._arrays, self._bytes = most, 0, 0

    def count(self, arrays=0, n_bytes=0):
        self._arrays += arrays
        self._bytes += n_bytes
        if self._arrays > MAX_ARRAYS:
            raise MatFileError(f"it holds more than {MAX_ARRAYS:,} arrays")
        if self._bytes > self.most:
            raise MatFileError(f"it holds more than {self.most:,} bytes of numbers, too many for a file of its size")


class _Elements:
    """Reads elements off a stream, forward only."""

    def __init__(self, stream, order, bounds):
        self._stream, self._order, self._bounds = stream, order, bounds

    def exactly(self, n_bytes):
        data = self._stream.read(n_bytes)
        if len(data) != n_bytes:
            raise MatFileError("it ends in the middle of its data")
        return data

    def tag(self):
        """Return (type, number of bytes, the data itself if it came with the tag)."""
        first, second = np.frombuffer(self.exactly(8), self._order + "u4").tolist()
        if first >> 16:
            raw = np.array([second], self._order + "u4").tobytes()
            return first & 0xFFFF, min(first >> 16, 4), raw[: first >> 16]
        return first, second, None

    def data(self, limit=2**16):
        """Read one data element: its type and its bytes."""
        kind, n_bytes, small = self.tag()
        if small is not None:
            return kind, small
        if n_bytes > limit:
            raise MatFileError(f"an element of {n_bytes:,} bytes stands where at most {limit:,} are expected")
        data = np.empty(n_bytes, np.uint8)
        view = memoryview(data)
        done = 0
        while done < n_bytes:
            count = self._stream.readinto(view[done : done + 2**22])
            if not count:
                raise MatFileError("it ends in the middle of its data")
            done += count
        self.exactly(-n_bytes % 8)
        return kind, data

    def integers(self):
        """Read a short list of integers, as flags, dimensions and lengths are."""
        values = self.numbers()
        if values.size == 0 or values.dtype.kind == "f":
            raise MatFileError("an array's header makes no sense")
        return values.tolist()

    def numbers(self, limit=2**16):
        kind, data = self.data(limit)
        if kind not in _NUMBERS:
            raise MatFileError(f"numbers are expected where an element of type {kind} stands")
        dtype = np.dtype(self._order + _NUMBERS[kind])
        if len(data) % dtype.itemsize:
            raise MatFileError("an array holds a fraction of a number")
        return np.frombuffer(data, dtype)

    def header(self):
        """Read what stands before an array's content: (class, dimensions, name)."""
        flags = self.integers()
        dims = self.integers()
        _, name = self.data()
        if len(dims) > 8 or min(dims) < 0:
            raise MatFileError("an array's header makes no sense")
        return flags[0] & 0xFF, dims, bytes(name).decode("latin-1")

    def array(self, depth=0):
        """Read one array element whole: ndarray, str, list (cell) or list of dict (struct)."""
        self._bounds.count(arrays=1)
        kind, n_bytes, small = self.tag()
        if kind != 14 or small is not None:
            raise MatFileError(f"an array is expected where an element of type {kind} stands")
        if n_bytes == 0:
            return np.empty((0, 0))
        array_class, dims, _ = self.header()
        return self.content(array_class, dims, depth)

    def content(self, array_class, dims, depth=0):
        if depth > MAX_DEPTH:
            raise MatFileError("its arrays are nested too deeply")
        if array_class == _CELL:
            return list(self.cells(dims, depth))
        if array_class == _STRUCT:
            return self._struct(dims, depth)
        if array_class == _CHAR:
            kind, data = self.data()
            encoding = _TEXT.get(kind, "latin-1")
            if encoding in ("utf-16", "utf-32"):
                encoding += "-le" if self._order == "<" else "-be"
            return bytes(data).decode(encoding, errors="replace")
        if array_class in _NUMERIC:
            values = self.numbers(min(MAX_ARRAY_BYTES, self._bounds.most))
            if values.size != math.prod(dims):
                raise MatFileError(f"an array of dimensions {dims} holds {values.size} numbers")
            self._bounds.count(n_bytes=values.size * max(4, values.itemsize))  # bytes become float32
            try:
                # As loadmat does, numbers stay as they are stored, say doubles without a fraction as uint8.
                return values.reshape(dims, order="F")
            except ValueError as error:  # sizes whose product is 0 and still too much for NumPy
                raise MatFileError(f"an array has dimensions {dims}") from error
        raise MatFileError(f"it holds an array of class {array_class}, which a network does not need")

    def cells(self, dims, depth=0):
        for _ in range(math.prod(dims)):
            yield self.array(depth + 1)

    def _struct(self, dims, depth):
        length = self.integers()[0]
        _, names = self.data()
        names = bytes(names)
        if not 1 <= length <= 64:
            raise MatFileError("a struct's field names make no sense")
        fields = [names[i : i + length].split(b"\0")[0].decode("latin-1") for i in range(0, len(names), length)]
        structs = []
        for _ in range(math.prod(dims)):
            self._bounds.count(arrays=1)  # one without a field takes no bytes, so the file's size does not bound it
            structs.append({f: self.array(depth + 1) for f in fields})
        return structs


def variables(file, n_bytes=None):
    """Walk the variables of a MATLAB 5 file.

    Parameters
    ----------
    file : binary file
        Open for reading, at its start.
    n_bytes : int, optional
        How many bytes it takes on the disk, where it is packed into another.

    Yields
    ------
    name : str
        The variable's name.
    read : callable
        Reads its value, if called before the next variable is asked for. A cell array is given as a generator that
        reads one cell at a time; a struct array as a list of dicts; text as str; numbers as ndarray.

    Raises
    ------
    MatFileError
        If the file is damaged. The message continues the sentence "this file cannot be read: ...".
    """
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    head = file.read(128)
    if len(head) < 128 or head[126:128] not in (b"IM", b"MI"):
        raise MatFileError("it is not a MATLAB 5 file")
    order = "<" if head[126:128] == b"IM" else ">"
    bounds = _Bounds(most_bytes(size if n_bytes is None else n_bytes))
    outer = _Elements(file, order, bounds)
    position, limit = 128, bounds.most
    while position + 8 <= size:
        file.seek(position)
        kind, n_bytes, small = outer.tag()
        if small is not None or kind not in (14, 15):
            raise MatFileError(f"an element of type {kind} stands where a variable is expected")
        # Compressed elements are the only ones that are not padded to 8 bytes.
        position += 8 + n_bytes
        if position > size:
            raise MatFileError(f"it is truncated: {position:,} bytes are expected, {size:,} are there")
        elements, inflate = outer, None
        if kind == 15:
            inflate = _Inflate(file, n_bytes, limit)
            elements = _Elements(io.BufferedReader(inflate, 2**16), order, bounds)
            kind, _, _ = elements.tag()
            if kind != 14:
                raise MatFileError(f"an element of type {kind} stands where a variable is expected")
        array_class, dims, name = elements.header()
        if array_class == _CELL:
            yield name, lambda e=elements, d=dims: e.cells(d)
        else:
            yield name, lambda e=elements, c=array_class, d=dims: e.content(c, d)
        if inflate:
            limit = inflate.limit
    if position != size:
        raise MatFileError("it ends in the middle of its data")
