"""Pictures to train with: random crops of what a folder holds."""

import functools
import pathlib

import numpy as np
import tensorflow as tf

from ..images import ImageError, read_image, resize_image
from .files import is_taken

#: How often a crop is drawn until it shows something, and the least standard deviation of a channel that does.
_DRAWS, _LEAST_CONTRAST = 8, 4


class Crops:
    """An endless sequence of square crops of the pictures in a folder, in which crop number i is always the same one.

    An epoch takes every picture once, in an order of its own. Which part is cropped, how far it is made smaller and
    whether it is mirrored is drawn for each crop. A part of nearly one colour, such as a black sky, is drawn again, or
    the next picture stands in: it has nothing to teach, and sixteen normalisations that divide by next to nothing make
    a gradient that Adam never recovers from.

    Parameters
    ----------
    folder : str or path-like
        A folder of pictures; those in folders within it count too, those whose names begin with a dot do not.
    size : int
        Height and width of a crop, in pixels.
    seed : int
        Seed of the draws.

    Attributes
    ----------
    paths : list of pathlib.Path
        The pictures.
    names : list of str
        What they are called within the folder.
    skipped : set of pathlib.Path
        Those that turned out not to be readable: the next one stands in for each.

    Raises
    ------
    FileNotFoundError
        If there is no such folder, or no picture in it.
    """

    def __init__(self, folder, size, seed):
        folder = pathlib.Path(folder)
        self.paths = sorted(p for p in folder.rglob("*") if is_taken(p))
        if not self.paths:
            raise FileNotFoundError(
                f"Expected a folder with pictures to train with; there are none in {folder}. Photographs of any kind "
                "will do, some hundred or more."
            )
        self.names = [p.relative_to(folder).as_posix() for p in self.paths]
        self.size, self.seed, self.skipped = size, seed, set()
        self._order = functools.lru_cache(2)(self._shuffled)

    def _shuffled(self, epoch):
        return np.random.default_rng([self.seed, 0, epoch]).permutation(len(self.paths))

    def __getitem__(self, i):
        """Return crop number `i`, uint8 of shape (size, size, 3)."""
        epoch, place = divmod(int(i), len(self.paths))
        rng = np.random.default_rng([self.seed, 1, i])
        for index in np.roll(self._order(epoch), -place):
            image = self._read(self.paths[index])
            for _ in range(0 if image is None else _DRAWS):
                crop = self._crop(rng, image)
                if crop.std(axis=(0, 1)).max() >= _LEAST_CONTRAST:
                    return crop
        raise ImageError(
            f"Expected pictures to train with; none of the {len(self.paths)} can be read and shows something. The "
            f"first is {self.paths[0]}."
        )

    def _read(self, path):
        if path in self.skipped:
            return None
        try:
            return read_image(path)
        except (ImageError, OSError):
            self.skipped.add(path)
            return None

    def _crop(self, rng, image):
        shorter = min(image.shape[:2])
        side = rng.integers(min(self.size, shorter), shorter + 1)
        top, left = (rng.integers(n - side + 1) for n in image.shape[:2])
        crop = resize_image(image[top : top + side, left : left + side], width=self.size, height=self.size)
        return np.ascontiguousarray(crop[:, ::-1]) if rng.integers(2) else crop

    def batches(self, first, last, batch_size, part=0, parts=1, replicas=1):
        """Return the crops of some steps as batches, read while the step before is computed.

        Parameters
        ----------
        first, last : int
            The first step, and the one behind the last.
        batch_size : int
            Crops of one step, on all computers together.
        part, parts : int, optional
            Which computer this is, and how many there are: each takes its part of every step's crops.
        replicas : int, optional
            How many devices all computers have together: a step of one computer has a batch for each of its own.

        Returns
        -------
        tf.data.Dataset
            Of uint8, shape (batch_size / replicas, size, size, 3).
        """
        own = batch_size // parts

        def read(k):
            i = k // own * batch_size + part * own + k % own
            crop = tf.numpy_function(self.__getitem__, [i], tf.uint8)
            return tf.ensure_shape(crop, (self.size, self.size, 3))

        numbers = tf.data.Dataset.range(first * own, last * own)
        return numbers.map(read, num_parallel_calls=2).batch(batch_size // replicas, drop_remainder=True).prefetch(2)
