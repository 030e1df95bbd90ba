"""Picture files to network arrays and back.

A picture a user sees is uint8 RGB, shape (n_H, n_W, 3). A network array is float32, shape (1, n_H, n_W, 3), RGB
with the ImageNet mean (123.68, 116.779, 103.939) subtracted. Only this module crosses that line.
"""

import contextlib
import errno
import pathlib
import secrets
import tempfile

import imageio.v3 as iio
import numpy as np
from PIL import Image, ImageOps

from ._files import whole_file
from .decoding import MAX_PIXELS, ImageError, count_frames, decode
from .weights.folders import picture_folders
from .weights.network import IMAGENET_MEAN

__all__ = ["MAX_PIXELS", "ImageError"]

#: How the names of published programs' pictures end: unpacked by libjpeg 9, as in 2017, or left to today's decoders.
OLD_PIXELS, TODAYS_PIXELS = "_libjpeg9.png", ".jpg"

#: How lossy formats are written. Colours at half resolution (4:2:0), which is usual, or as luminance and chrominance
#: cost paintings, whose colours are strong, up to 7 dB: a JPEG holds red, green and blue instead, all of each.
_JPEG = {"quality": 98, "subsampling": "4:4:4", "keep_rgb": True}
_QUALITY = {".jpg": _JPEG, ".jpeg": _JPEG, ".webp": {"quality": 95}}

#: The longest side that a format can store, in pixels.
_LONGEST_SIDE = {".jpg": 65_500, ".jpeg": 65_500, ".webp": 16_383, ".gif": 65_535}


def read_image(path, *, max_pixels=MAX_PIXELS):
    """Read a picture file as RGB.

    JPEG, PNG, WebP, GIF, BMP, TIFF and PPM, whatever their names end in; of animations the first frame. Grey, palette,
    16-bit and CMYK pictures are converted, transparent ones laid on white, and photographs turned upright as their EXIF
    tag says. Where the file has a colour profile, such as Display P3 or Adobe RGB, colours are converted to sRGB by it.

    Parameters
    ----------
    path : str or path-like
        The file.
    max_pixels : int, optional
        Refuse to unpack more pixels than this: a small file can hold an enormous picture.

    Returns
    -------
    ndarray of uint8, shape (n_H, n_W, 3)
        sRGB, 0 to 255.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ImageError
        If the file is empty, not a picture, damaged, smaller than 2 x 2 or larger than `max_pixels`.
    """
    return decode(path, max_pixels)


def example_image(name):
    """Read one of the pictures that come with the project, wherever it is installed.

    Parameters
    ----------
    name : str
        What its file in ``images/`` is called, such as "glass_pyramid" or "brush_strokes", with or without its ending.
        A PNG or JPEG that you have put into ``images/``, of the project or of the current folder, is found too.

    Returns
    -------
    ndarray of uint8, shape (n_H, n_W, 3)
        sRGB, 0 to 255.

    Raises
    ------
    FileNotFoundError
        If there is none of this name; the error lists those there are.
    ImageError
        If it cannot be read.
    """
    paths = [path for folder in picture_folders() if folder.is_dir() for path in sorted(folder.iterdir())]
    paths = [path for path in paths if path.suffix.lower() in (".png", ".jpg", ".jpeg")]
    found = [path for path in paths if name in (path.name, path.stem)]
    if not found:
        names = ", ".join(sorted({path.stem for path in paths}))
        raise FileNotFoundError(f"Expected one of the pictures {names}; found {name!r}.")
    return read_image(found[0])  # the project's, before a user's own


def read_first(path):
    """Read a picture as `read_image` does, and print a line where the file holds more than one.

    Parameters
    ----------
    path : str or path-like
        The file.

    Returns
    -------
    ndarray of uint8, shape (n_H, n_W, 3)

    Raises
    ------
    FileNotFoundError, ImageError
        As `read_image` raises them.
    """
    image, (frames, pages) = read_image(path), count_frames(path)
    if max(frames, pages) > 1:
        what = f"{frames} frames" if frames > 1 else f"{pages} pages"
        print(f"Only the first of the {what} of {path} is painted.")
    return image


def read_mask(path):
    """Read a picture file as a mask: white where something holds, black where it does not, grey between.

    Parameters
    ----------
    path : str or path-like
        The file, as `read_image` takes it. Colours count by their brightness.

    Returns
    -------
    ndarray of uint8, shape (n_H, n_W)

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ImageError
        If it is not a picture, or all black.
    """
    mask = np.array(Image.fromarray(read_image(path)).convert("L"))
    if not mask.any():
        raise ImageError(
            f"Expected a mask that is white where the style goes; {path} is all black. Draw white into it, or leave it "
            "out: without a mask the style goes everywhere."
        )
    return mask


def resize_image(image, *, width=None, height=None, max_pixels=MAX_PIXELS):
    """Resize a picture, keeping its proportions.

    Given one of the two sizes, the other follows. Given both, the picture is scaled until it covers them and its longer
    side is cropped evenly, so that nothing in it is stretched.

    Parameters
    ----------
    image : ndarray of uint8, shape (n_H, n_W, 3)
        The picture.
    width, height : int, optional
        The size wanted, in pixels, at least 1.
    max_pixels : int, optional
        Refuse to make a picture of more pixels than this: that follows from a width where a picture is narrow.

    Returns
    -------
    ndarray of uint8, shape (height, width, 3)

    Raises
    ------
    ValueError
        If neither size is given or one is below 1, the result would have more than `max_pixels`, or `image` is not a
        picture.
    """
    image = check_picture(image, np.uint8)
    for name, size in (("width", width), ("height", height)):
        if size is not None and size < 1:
            raise ValueError(f"{name} must be at least 1 pixel; found {size}.")
    n_H, n_W = image.shape[:2]
    if width is None and height is None:
        raise ValueError("resize_image needs a width, a height or both; found neither. Type width=400, say.")
    width = width or max(1, round(n_W * height / n_H))
    height = height or max(1, round(n_H * width / n_W))
    if (height, width) == (n_H, n_W):
        return image
    if height * width > max_pixels:
        raise ImageError(
            f"Expected a size of at most {max_pixels:,} pixels; this picture of {n_W} x {n_H} would become {width} x "
            f"{height}. Choose a smaller width, or raise the limit: resize_image(..., max_pixels=...)."
        )
    return np.array(ImageOps.fit(Image.fromarray(image), (width, height), Image.Resampling.LANCZOS))


def reshape_and_normalize_image(image):
    r"""Turn a picture into what the network takes.

    .. math:: a = \text{image} - (123.68, 116.779, 103.939)

    Parameters
    ----------
    image : ndarray, shape (n_H, n_W, 3)
        RGB, 0 to 255.

    Returns
    -------
    ndarray of float32, shape (1, n_H, n_W, 3)
        The picture with the ImageNet mean subtracted, about -124 to 151. `image` is not changed.

    Raises
    ------
    ValueError
        If `image` has another shape.
    """
    return (check_picture(image).astype(np.float32) - IMAGENET_MEAN)[None]


def generate_noise_image(content_image, noise_ratio=0.6, *, seed=None):
    r"""Make the picture a run starts from: noise blended with the content picture.

    .. math:: G_0 = r\, U(-20, 20) + (1 - r)\, C

    Parameters
    ----------
    content_image : ndarray, shape (1, n_H, n_W, 3)
        The content picture as `reshape_and_normalize_image` gives it.
    noise_ratio : float, optional
        The share of noise, 0 to 1.
    seed : int, optional
        Seed of the draw. Without one the noise is drawn from NumPy's global state, as the course does, so that
        ``np.random.seed(s)`` before the call and ``seed=s`` give the same picture.

    Returns
    -------
    ndarray of float32, shape (1, n_H, n_W, 3)

    Raises
    ------
    ValueError
        If `content_image` is not a network array, or the ratio is outside 0 to 1.
    """
    content_image = np.asarray(content_image)
    if not is_batch_of_one(content_image):
        raise ValueError(
            f"Expected a content picture of shape (1, n_H, n_W, 3); found {content_image.shape}. "
            "Type reshape_and_normalize_image(content_image) first."
        )
    if not 0 <= noise_ratio <= 1:
        raise ValueError(f"noise_ratio must be between 0 and 1; found {noise_ratio}.")
    draw = np.random.uniform if seed is None else np.random.RandomState(seed).uniform
    noise = draw(-20, 20, content_image.shape).astype(np.float32)
    return (noise * noise_ratio + content_image * (1 - noise_ratio)).astype(np.float32)


def denormalize_image(image):
    """Turn a network array back into a picture: add the mean, clip to 0 .. 255, round.

    Parameters
    ----------
    image : ndarray, shape (1, n_H, n_W, 3)
        RGB with the ImageNet mean subtracted.

    Returns
    -------
    ndarray of uint8, shape (n_H, n_W, 3)

    Raises
    ------
    ValueError
        If `image` has another shape, or holds NaN.
    """
    image = np.asarray(image)
    if not is_batch_of_one(image):
        raise ValueError(f"Expected a network array of shape (1, n_H, n_W, 3); found {image.shape}.")
    if np.isnan(image).any():
        raise ValueError("Expected numbers; the picture holds NaN. The run that made it went astray.")
    # The course cuts the fraction off; rounding gives every picture back that was normalised.
    return np.rint(np.clip(image[0] + IMAGENET_MEAN, 0, 255)).astype(np.uint8)


def save_image(path, image):
    """Save a picture, whole or not at all; the format follows from the name.

    Lossy formats are written at a high quality, JPEG as red, green and blue at full resolution (4:4:4).

    Parameters
    ----------
    path : str or path-like
        Where to save it, with a suffix such as ``.png`` or ``.jpg``. A missing folder is made.
    image : ndarray, shape (1, n_H, n_W, 3) or (n_H, n_W, 3)
        A network array (the mean is added back, and the result clipped), or a picture of uint8.

    Raises
    ------
    ValueError
        If `image` is neither, the suffix names no picture format, or the format holds no picture of this size.
    OSError
        If the file cannot be written.
    """
    path = pathlib.Path(path)
    image = np.asarray(image)
    picture = denormalize_image(image) if image.ndim == 4 else check_picture(image, np.uint8)
    suffix = _suffix(path)
    check_size(path, picture.shape[:2])
    with whole_file(path) as temporary:
        temporary.write_bytes(
            iio.imwrite("<bytes>", picture, extension=suffix, plugin="pillow", **_QUALITY.get(suffix, {}))
        )


def save_painting(path, image):
    """Save what took long to paint: where that fails, under another name.

    Parameters
    ----------
    path, image
        As `save_image` takes them.

    Raises
    ------
    ValueError
        As `save_image` raises it.
    OSError
        If the file cannot be written. The message names the file that was written in its place: a PNG beside it, or in
        the folder for temporary files.
    """
    try:
        save_image(path, image)
    except OSError as error:
        path = pathlib.Path(path)
        other = _saved_elsewhere(path, image)
        if other is None:
            raise
        message = f"{error.strerror or error} The picture is in {other}."
        raise OSError(errno.EIO if error.errno is None else error.errno, message) from error


def _saved_elsewhere(path, image):
    """Save a picture beside a path or in the folder for temporary files, and return where; None if that fails too."""
    path = pathlib.Path(path)
    for folder in (path.parent, pathlib.Path(tempfile.gettempdir())):
        other = folder / f"{path.stem}-{secrets.token_hex(4)}.png"
        with contextlib.suppress(OSError):
            save_image(other, image)
            return other
    return None


def check_output(path, size=None):
    """Find out before a long run whether a picture could be saved under this name; only a missing folder is made.

    Parameters
    ----------
    path : str or path-like
        The name, as `save_image` takes it.
    size : (int, int), optional
        Height and width of the picture.

    Raises
    ------
    ValueError
        If the suffix names no picture format, or the format holds no picture of this size.
    OSError
        If the folder cannot be made or written to.
    """
    _suffix(pathlib.Path(path))
    if size is not None:
        check_size(path, size)
    with contextlib.suppress(_NotNeeded), whole_file(path):
        raise _NotNeeded


def check_size(path, size):
    """Say before a long run that a picture's format could not hold it.

    Parameters
    ----------
    path : str or path-like
        The name it is to be saved under.
    size : (int, int)
        Height and width of the picture.

    Raises
    ------
    ValueError
        If a side is longer than the format can store.
    """
    suffix = pathlib.Path(path).suffix.lower()
    longest = _LONGEST_SIDE.get(suffix)
    if longest is not None and max(size) > longest:
        raise ValueError(
            f"Expected sides of at most {longest:,} pixels for a picture that ends in {suffix}; {path} would have "
            f"{size[1]} x {size[0]}. Choose a name that ends in .png, or make the picture smaller."
        )


class _NotNeeded(Exception):
    """Leaves a `whole_file` block without giving the file its name."""


def _suffix(path):
    suffix = path.suffix.lower()
    if suffix not in (".png", ".jpg", ".jpeg", ".webp", ".bmp"):
        raise ValueError(f"Expected the name of a picture, ending in .png, .jpg, .webp or .bmp; found {path.name!r}.")
    return suffix


def is_batch_of_one(array):
    """Say whether an array has the shape of a network array, (1, n_H, n_W, 3).

    Parameters
    ----------
    array : ndarray
        Any array.

    Returns
    -------
    bool
    """
    return array.ndim == 4 and array.shape[::3] == (1, 3)


def check_picture(image, dtype=None, kind="picture"):
    """Return a picture as an array, or say what was given for one.

    Parameters
    ----------
    image : array-like
        What should be a picture.
    dtype : type, optional
        The type its values must have.
    kind : str, optional
        What the error calls it.

    Returns
    -------
    ndarray, shape (n_H, n_W, 3)

    Raises
    ------
    ValueError
        If it has another shape or type, or no pixel.
    """
    image = np.asarray(image)
    if image.ndim != 3 or image.shape[2] != 3 or image.size == 0 or (dtype is not None and image.dtype != dtype):
        expected = f"{np.dtype(dtype)} {kind}" if dtype is not None else kind
        raise ValueError(
            f"Expected a {expected} of shape (n_H, n_W, 3); found {image.dtype} of shape {image.shape}. "
            "read_image(path) gives one from any file."
        )
    return image
