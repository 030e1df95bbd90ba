"""Picture files through Pillow: opened within limits, frame by frame, and brought to sRGB.

A file can ask for far more than it holds: room for enormous frames, or minutes of unpacking. And trouble beside the
pixels, such as an odd EXIF block, must not cost the pixels.
"""

import contextlib
import io
import pathlib
import re
import struct
import threading
import warnings
import zlib

import numpy as np
from PIL import Image, ImageCms, PngImagePlugin, UnidentifiedImageError

from .startup import without_notes

#: The most pixels that are unpacked unless told otherwise: 8000 x 6000 and a little more.
MAX_PIXELS = 50_000_000

#: The most pixels of all frames of an animation.
MAX_ANIMATION = 4 * MAX_PIXELS

# Pillow would also hand a file to Ghostscript and other programs; these formats it decodes itself.
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM")

#: Formats whose frames follow one another in time; those of others are pages, or one picture for each eye.
_ANIMATED = ("GIF", "PNG", "WEBP")

#: Run-length coded BMPs are unpacked in Python, a few bytes to millions of pixels: this many take some two seconds.
_MAX_RLE = 2**23

#: A progressive JPEG goes over the whole picture once for each of its scans, of which a few bytes make one.
_MAX_SCANNED = 2**30

#: The most bytes of a text or a profile in a PNG that are unpacked. Printers' profiles have some megabytes.
_MAX_TEXT = 2**24

#: How many pixels are converted at a time.
_BAND = 2**22

#: By how many levels a profile's colours may differ from sRGB's and count as the same.
_SAME_COLORS = 2

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

_PILLOWS = threading.Lock()


class ImageError(ValueError):
    """A picture that cannot be used. The message says why and what to do."""


def decode(path, max_pixels=MAX_PIXELS):
    """Read a file's first frame.

    Parameters
    ----------
    path : str or path-like
        The file.
    max_pixels : int, optional
        The most pixels that are unpacked.

    Returns
    -------
    ndarray of uint8, shape (n_H, n_W, 3)
        sRGB, upright; what is transparent is white.

    Raises
    ------
    FileNotFoundError, PermissionError
        If there is no such file, or it may not be read.
    ImageError
        If it cannot be used.
    """
    with _explained(path, max_pixels), _limits(max_pixels), _opened(path, max_pixels) as picture:
        return _rgb(_upright(picture), path)


def count_frames(path):
    """Say how many pictures a file holds.

    Parameters
    ----------
    path : str or path-like
        The file.

    Returns
    -------
    frames : int
        How many follow one another in time: 1 for what is no animation.
    pages : int
        How many there are else, such as the pages of a TIFF.

    Raises
    ------
    FileNotFoundError, PermissionError, ImageError
        As `decode` raises them.
    """
    with _explained(path, MAX_PIXELS), _limits(MAX_PIXELS), _opened(path, MAX_PIXELS, load=False) as picture:
        n = getattr(picture, "n_frames", 1)
        if picture.format in _ANIMATED:
            return max(1, n - _hidden(picture)), 1
        return 1, n if picture.format == "TIFF" else 1


def decode_frames(path):
    """Read an animation frame by frame.

    Parameters
    ----------
    path : str or path-like
        An animated GIF, WebP or PNG.

    Yields
    ------
    frame : ndarray of uint8, shape (n_H, n_W, 3)
        As `decode` gives it.
    duration : float
        Milliseconds it is shown for.
    loop : int or None
        How often the animation is repeated, as its format counts it; None where it does not say.

    Raises
    ------
    FileNotFoundError, PermissionError, ImageError
        As `decode` raises them; also if all frames have more than `MAX_ANIMATION` pixels, which is seen before the
        first is unpacked, or where a frame grows.
    """
    with contextlib.ExitStack() as stack:
        with _explained(path, MAX_PIXELS), _limits(MAX_PIXELS):
            animation = stack.enter_context(_opened(path, MAX_PIXELS))
            n, first = animation.n_frames if animation.format in _ANIMATED else 1, _hidden(animation)
        unpacked = 0
        for i in range(first, n):
            with _explained(path, MAX_PIXELS), _limits(MAX_PIXELS):
                animation.seek(i)
                width, height = animation.size  # a frame may be larger than the one before
                if unpacked + (n - i) * width * height > MAX_ANIMATION:
                    raise ImageError(
                        f"Expected an animation of at most {MAX_ANIMATION:,} pixels; {path} has {n - first} frames of "
                        f"{width} x {height}. Make it smaller or shorter."
                    )
                unpacked += width * height
                frame = _rgb(_upright(animation), path)
                duration, loop = animation.info.get("duration", 0), animation.info.get("loop")
            yield frame, duration, loop


def _hidden(picture):
    """Return 1 if the first picture is only for programs that show no animations, else 0."""
    return int(bool(getattr(picture, "default_image", False)))


# --- opening ----------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _limits(max_pixels):
    """Have Pillow refuse frames of more pixels, and say nothing of odd EXIF data and the like: the pixels count."""
    with _PILLOWS:  # or two threads would take each other's limits for those to restore
        before = Image.MAX_IMAGE_PIXELS, PngImagePlugin.MAX_TEXT_CHUNK
        Image.MAX_IMAGE_PIXELS, PngImagePlugin.MAX_TEXT_CHUNK = max_pixels, _MAX_TEXT
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                yield
        finally:
            Image.MAX_IMAGE_PIXELS, PngImagePlugin.MAX_TEXT_CHUNK = before


@contextlib.contextmanager
def _explained(path, max_pixels):
    """Turn what Pillow raises for damaged files, which is almost anything, into one error."""
    try:
        yield
    except (ImageError, FileNotFoundError, PermissionError):
        raise
    except UnidentifiedImageError as error:
        raise ImageError(
            f"Expected a picture (JPEG, PNG, WebP, GIF, BMP, TIFF or PPM); {path} is something else. "
            "Open it in a picture viewer and save it as PNG."
        ) from error
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise ImageError(
            f"Expected at most {max_pixels:,} pixels; a frame of {path} has more. Make it smaller, or raise the "
            "limit: read_image(path, max_pixels=...)."
        ) from error
    except MemoryError as error:
        raise ImageError(f"There is not enough memory for {path}. Make the picture smaller.") from error
    except (OSError, SyntaxError, EOFError, IndexError, struct.error, zlib.error) as error:
        raise ImageError(f"{path} is damaged or truncated: {_line(error)}. Save or download it again.") from error
    except Exception as error:
        raise ImageError(
            f"{path} cannot be read: {_line(error)}. Open it in a picture viewer and save it as PNG."
        ) from error


def _line(error):
    return " ".join(str(error).split())[:300].rstrip(".") or type(error).__name__


def _advice(name):
    """Say what to do about a picture that is not there."""
    if re.match(r"https?:/", name):
        return "Addresses are not fetched: save the picture first, and give the file."
    if name.startswith("~"):
        return "In quotes ~ stands for itself: leave the quotes out, or write the whole path."
    return "Check the name and the folder."


@contextlib.contextmanager
def _opened(path, max_pixels, load=True):
    """Open a picture, its first frame unpacked if it is to be."""
    path = pathlib.Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"Expected a picture file; there is none at {path}. {_advice(str(path))}")
    with open(path, "rb") as file:
        head = file.read(4)
        if not head:
            raise ImageError(f"Expected a picture; {path} is an empty file. Save or download it again.")
        # libtiff writes what it thinks of a file to the terminal.
        quiet = without_notes() if head[:2] in (b"II", b"MM") else contextlib.nullcontext()
        with contextlib.ExitStack() as stack:
            with quiet:
                try:
                    picture = _loaded(stack, file, path, max_pixels, load)
                except (ImageError, MemoryError, Image.DecompressionBombWarning, Image.DecompressionBombError):
                    raise
                except Exception:
                    pixels = _pixels_only(file)
                    if pixels is None:
                        raise
                    picture = _loaded(stack, pixels, path, max_pixels, load)
            yield picture


def _loaded(stack, file, path, max_pixels, load):
    file.seek(0)
    gif = file.read(3) == b"GIF"
    file.seek(0)
    # The decoder of GIFs makes room for a frame as it is opened. Others only read the size, which is then said.
    Image.MAX_IMAGE_PIXELS = max_pixels if gif else None
    picture = stack.enter_context(Image.open(file, formats=_FORMATS))
    Image.MAX_IMAGE_PIXELS = max_pixels
    width, height = picture.size
    if width * height > max_pixels:
        raise ImageError(
            f"Expected at most {max_pixels:,} pixels; {path} has {width} x {height} = {width * height:,}. "
            "Make it smaller, or raise the limit: read_image(path, max_pixels=...)."
        )
    if min(width, height) < 2:
        raise ImageError(f"Expected at least 2 x 2 pixels; {path} has {width} x {height}. Choose a larger picture.")
    if width * height > _MAX_RLE and any(tile[0] == "bmp_rle" for tile in picture.tile):
        raise ImageError(
            f"Expected at most {_MAX_RLE:,} pixels of a run-length coded BMP; {path} has {width} x {height}. "
            "Save it as PNG."
        )
    if picture.format in ("JPEG", "MPO") and "progressive" in picture.info:
        scans = _count(file, b"\xff\xda")
        if scans * width * height > _MAX_SCANNED:
            raise ImageError(
                f"Expected a progressive JPEG of a few scans; {path} has {scans} of {width} x {height} pixels. "
                "Save it as PNG."
            )
    if load:
        picture.load()
    return picture


def _count(file, marker):
    """Count a marker in a file, and leave its position as it was."""
    place, n, before = file.tell(), 0, b""
    file.seek(0)
    while block := file.read(2**20):
        n += (before + block).count(marker)
        before = block[-1:]
    file.seek(place)
    return n


def _pixels_only(file):
    """Return a PNG or JPEG without what stands beside its pixels, or None if it is something else."""
    file.seek(0)
    content = file.read()
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return io.BytesIO(content[:8] + b"".join(_png_chunks(content)))
    if content.startswith(b"\xff\xd8\xff"):
        return io.BytesIO(b"\xff\xd8" + b"".join(_jpeg_segments(content)))
    return None


def _png_chunks(content):
    """Yield the chunks that make the picture, and a profile and an orientation that are whole."""
    place = 8
    while place + 12 <= len(content):
        (n_bytes,) = struct.unpack_from(">I", content, place)
        kind, end = content[place + 4 : place + 8], place + 12 + n_bytes
        # An upper-case letter stands for: not to be left out.
        whole = zlib.crc32(content[place + 4 : end - 4]) == int.from_bytes(content[end - 4 : end], "big")
        if kind[:1].isupper() or kind in (b"tRNS", b"acTL", b"fcTL", b"fdAT"):
            yield content[place:end]
        elif whole and (kind == b"eXIf" or (kind == b"iCCP" and _unpacks(content[place + 8 : end - 4]))):
            yield content[place:end]
        place = end


def _unpacks(profile):
    """Say whether a profile, behind its name and the number of its packing, unpacks to a sensible size."""
    try:
        unpacker = zlib.decompressobj()
        unpacker.decompress(profile[profile.index(b"\0") + 2 :], _MAX_TEXT)
        return not unpacker.unconsumed_tail
    except (ValueError, zlib.error):
        return False


def _jpeg_segments(content):
    """Yield the segments that make the picture, the profile's too; from the first scan on, all that follows."""
    place = 2
    while place + 4 <= len(content) and content[place] == 0xFF:
        kind = content[place + 1]
        if kind == 0xFF:  # filling
            place += 1
            continue
        end = place + 2 + int.from_bytes(content[place + 2 : place + 4], "big")
        profile = kind == 0xE2 and content[place + 4 :].startswith(b"ICC_PROFILE\0")
        if kind == 0xDA:
            yield content[place:]
            return
        # 0xE0 says that it is JFIF, 0xEE is Adobe's and says what its colours are. Others up to 0xEF, and comments, go.
        if kind in (0xE0, 0xEE) or profile or not (0xE1 <= kind <= 0xEF or kind == 0xFE):
            yield content[place:end]
        place = end


# --- colours ----------------------------------------------------------------------------------------------------------


def _upright(picture):
    """Turn a photograph as its EXIF block says, if that can be read."""
    try:
        turn = _UPRIGHT.get(picture.getexif().get(0x0112))
    except Exception:  # whatever an odd block leads to: it is beside the pixels
        turn = None
    return picture if turn is None else picture.transpose(turn)


def _rgb(picture, path):
    """Return the frame that an open picture is at, sRGB on white, converted piece by piece."""
    if picture.mode == "F":
        raise ImageError(f"Expected 8 or 16 bits for each colour; {path} holds floating-point numbers. Save it as PNG.")
    width, height = picture.size
    picture.load()  # the frame may differ from the last one in its mode
    convert = _from_profile(picture)
    found = np.empty((height, width, 3), np.uint8)
    rows = max(1, _BAND // width)
    for top in range(0, height, rows):
        bottom = min(height, top + rows)
        found[top:bottom] = _band(picture.crop((0, top, width, bottom)), convert)
    return found


def _band(picture, convert):
    if picture.mode.startswith("I"):
        # 16-bit grey: Pillow's own conversion would clip at 255 instead of scaling.
        grey = np.clip(np.asarray(picture, np.int64), 0, 65535) / 257
        return np.rint(grey).astype(np.uint8)[:, :, None]
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        opaque = convert(picture.convert("RGB"))
        opaque.putalpha(picture.getchannel("A"))
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), opaque)
    elif picture.mode in ("CMYK", "L"):
        picture = convert(picture)
    else:
        picture = convert(_in_mode("RGB", picture))
    return np.asarray(_in_mode("RGB", picture))


def _in_mode(mode, picture):
    return picture if picture.mode == mode else picture.convert(mode)


def _from_profile(picture):
    """Return what brings a picture's colours to sRGB by the profile in its file; without a usable one, nothing does."""
    try:
        given = ImageCms.ImageCmsProfile(io.BytesIO(picture.info["icc_profile"]))
        mode = {"RGB ": "RGB", "CMYK": "CMYK", "GRAY": "L"}[given.profile.xcolor_space]
        transform = ImageCms.buildTransform(given, ImageCms.createProfile("sRGB"), mode, "RGB")
        if mode == "RGB" and _changes_little(transform):
            return _unchanged
    except Exception:  # a damaged profile, or none
        return _unchanged
    return lambda part: ImageCms.applyTransform(part, transform) if part.mode == mode else part


def _unchanged(picture):
    return picture


def _changes_little(transform):
    """Say whether a transform leaves colours as they are, but for rounding: then they are left alone altogether."""
    steps = np.linspace(0, 255, 9).astype(np.uint8)
    colors = np.stack(np.meshgrid(steps, steps, steps), -1).reshape(1, -1, 3)
    changed = np.asarray(ImageCms.applyTransform(Image.fromarray(colors), transform))
    return np.abs(changed.astype(int) - colors).max() <= _SAME_COLORS
