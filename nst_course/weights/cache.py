"""The unpacked copy of a large weights file, in the user's cache folder."""

import contextlib
import hashlib
import os
import time

import numpy as np

from .._files import whole_file
from .folders import cache_folder
from .network import VGGWeights


class Cache:
    """The convolutions of one large file, unpacked, in the user's cache folder."""

    #: Smaller files are read quickly enough without.
    MIN_BYTES = 2**25

    def __init__(self, path):
        self._path = path
        self._stat = self._signature()
        name = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:16]
        self._file = cache_folder() / f"{path.stem[:40]}-{name}.npz"
        # Within a tick of the file system's clock a second change leaves the same time stamp as the first.
        settled = time.time_ns() - max(self._stat[1], self._stat[2]) > 10**8
        self._useful = self._stat[0] >= self.MIN_BYTES and settled

    def _signature(self):
        stat = os.stat(self._path)
        # ctime cannot be set back, as mtime can; inode and device tell apart files that took each other's place.
        return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino, stat.st_dev

    def _key(self):
        # The first entry is raised when the reader changes what it makes of the same file.
        return ["1", *map(str, self._stat)]

    def load(self):
        """Return the cached weights, or None where there are none for the file as it is now."""
        if not self._useful:
            return None
        try:
            # Opened here, since np.load leaves the file open when it is damaged.
            with open(self._file, "rb") as file, np.load(file, allow_pickle=False) as data:
                if data["signature"].tolist() != self._key():
                    return None
                layout, description, *classes = data["text"].tolist()
                parameters = {name: (data[f"{name}_W"], data[f"{name}_b"]) for name in data["layers"].tolist()}
            return VGGWeights(parameters, str(self._path), layout, description, tuple(classes))
        except Exception:  # a damaged cache is no reason to fail: the file itself is there
            return None

    def store(self, weights):
        """Write the weights to the cache where that is worth it and possible, and return them."""
        if self._useful and self._signature() == self._stat:
            arrays = {
                f"{name}_{part}": array for name, pair in weights.parameters.items() for part, array in zip("Wb", pair)
            }
            text = np.array([weights.layout, weights.description, *weights.classes])
            # A read-only home or a full disk only costs the next reader some seconds.
            with contextlib.suppress(OSError), whole_file(self._file) as temporary, open(temporary, "wb") as file:
                np.savez(file, layers=np.array(weights.layers), text=text, signature=np.array(self._key()), **arrays)
        return weights
