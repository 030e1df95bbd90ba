"""Picture files to network arrays and back.

A picture a user sees is uint8 RGB, shape (n_H, n_W, 3). A network array is float32, shape (1, n_H, n_W, 3), RGB
with the ImageNet mean (123.68, 116.779, 103.939) subtracted. Only this module crosses that line.
"""

import contextlib
import pathlib
import threading
import warnings

import imageio.v3 as iio
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ._files import whole_file
from .weights.network import IMAGENET_MEAN

#: The most pixels `read_image` unpacks unless told otherwise: 8000 x 6000 and a little more.
MAX_PIXELS = 50_000_000

#: How the names of published programs' pictures end: unpacked by libjpeg 9, as in 2017, or left to today's decoders.
OLD_PIXELS, TODAYS_PIXELS = "_libjpeg9.png", ".jpg"

# Pillow would also hand a file to Ghostscript and other programs; these formats it decodes itself.
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM")

_PILLOW_LIMIT = threading.Lock()


class ImageError(ValueError):
    """A picture that cannot be used. The message says why and what to do."""


def read_image(path, *, max_pixels=MAX_PIXELS):
    """Read a picture file as RGB.

    JPEG, PNG, WebP, GIF (first frame), BMP, TIFF and PPM; grey, palette, 16-bit and CMYK pictures are converted,
    transparent ones laid on white, and photographs turned upright as their EXIF tag says.

    Parameters
    ----------
    path : str or path-like
        The file.
    max_pixels : int, optional
        Refuse to unpack more pixels than this: a small file can hold an enormous picture.

    Returns
    -------
    ndarray of uint8, shape (n_H, n_W, 3)
        RGB, 0 to 255.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ImageError
        If the file is empty, not a picture, damaged, smaller than 2 x 2 or larger than `max_pixels`.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"Expected a picture file; there is none at {path}. Check the name and the folder.")
    if path.stat().st_size == 0:
        raise ImageError(f"Expected a picture; {path} is an empty file. Save or download it again.")
    try:
        with own_pixel_limit(), Image.open(path, formats=_FORMATS) as picture:
            width, height = picture.size
            if width * height > max_pixels:
                raise ImageError(
                    f"Expected at most {max_pixels:,} pixels; {path} has {width} x {height} = {width * height:,}. "
                    "Make it smaller, or raise the limit: read_image(path, max_pixels=...)."
                )
            if min(width, height) < 2:
                raise ImageError(
                    f"Expected at least 2 x 2 pixels; {path} has {width} x {height}. Choose a larger picture."
                )
            return to_rgb(ImageOps.exif_transpose(picture), path)
    except UnidentifiedImageError as error:
        raise ImageError(
            f"Expected a picture (JPEG, PNG, WebP, GIF, BMP, TIFF or PPM); {path} is something else. "
            "Open it in a picture viewer and save it as PNG."
        ) from error
    except (ImageError, PermissionError):
        raise
    except Exception as error:  # Pillow raises almost anything for damaged files
        raise ImageError(f"{path} is damaged or truncated: {error}. Save or download it again.") from error


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


@contextlib.contextmanager
def own_pixel_limit():
    """Leave the limit on pixels to `read_image`, whose own can be raised."""
    with _PILLOW_LIMIT:  # or two threads would take each other's None for the limit to restore
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            with warnings.catch_warnings():
                # Pillow warns of odd EXIF data and the like; the pixels are what counts.
                warnings.simplefilter("ignore")
                yield
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def to_rgb(picture, path):
    """Return the frame that an open picture is at.

    Parameters
    ----------
    picture : PIL.Image.Image
        The picture.
    path : str or path-like
        Where it comes from, for the error.

    Returns
    -------
    ndarray of uint8, shape (n_H, n_W, 3)
        RGB; what is transparent is white.

    Raises
    ------
    ImageError
        If its colours are floating-point numbers.
    """
    if picture.mode == "F":
        raise ImageError(f"Expected 8 or 16 bits for each colour; {path} holds floating-point numbers. Save it as PNG.")
    if picture.mode.startswith("I"):
        # 16-bit grey: Pillow's own conversion would clip at 255 instead of scaling.
        grey = np.clip(np.asarray(picture, np.int64), 0, 65535) / 257
        return np.repeat(np.rint(grey).astype(np.uint8)[:, :, None], 3, axis=2)
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    return np.array(picture.convert("RGB"))


def resize_image(image, *, width=None, height=None):
    """Resize a picture, keeping its proportions.

    Given one of the two sizes, the other follows. Given both, the picture is scaled until it covers them and its longer
    side is cropped evenly, so that nothing in it is stretched.

    Parameters
    ----------
    image : ndarray of uint8, shape (n_H, n_W, 3)
        The picture.
    width, height : int, optional
        The size wanted, in pixels, at least 1.

    Returns
    -------
    ndarray of uint8, shape (height, width, 3)

    Raises
    ------
    ValueError
        If neither size is given or one is below 1, or `image` is not a picture.
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

    Parameters
    ----------
    path : str or path-like
        Where to save it, with a suffix such as ``.png`` or ``.jpg``. A missing folder is made.
    image : ndarray, shape (1, n_H, n_W, 3) or (n_H, n_W, 3)
        A network array (the mean is added back, and the result clipped), or a picture of uint8.

    Raises
    ------
    ValueError
        If `image` is neither, or the suffix names no picture format.
    OSError
        If the file cannot be written.
    """
    path = pathlib.Path(path)
    image = np.asarray(image)
    picture = denormalize_image(image) if image.ndim == 4 else check_picture(image, np.uint8)
    suffix = _suffix(path)
    options = {} if suffix in (".png", ".bmp") else {"quality": 95}
    with whole_file(path) as temporary:
        temporary.write_bytes(iio.imwrite("<bytes>", picture, extension=suffix, plugin="pillow", **options))


def check_output(path):
    """Find out before a long run whether a picture could be saved under this name; only a missing folder is made.

    Parameters
    ----------
    path : str or path-like
        The name, as `save_image` takes it.

    Raises
    ------
    ValueError
        If the suffix names no picture format.
    OSError
        If the folder cannot be made or written to.
    """
    _suffix(pathlib.Path(path))
    with contextlib.suppress(_NotNeeded), whole_file(path):
        raise _NotNeeded


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
