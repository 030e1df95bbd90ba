"""A network applied to picture files, each whatever size it is; to animated GIFs and videos frame by frame."""

import io
import pathlib

from PIL import Image, ImageSequence

from .._files import whole_file
from ..images import MAX_PIXELS, ImageError, own_pixel_limit, read_image, save_image, to_rgb
from . import video

#: What is taken from a folder; a file that is named may end otherwise.
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm")

#: The most pixels of all frames of an animation.
_MAX_ANIMATION = 4 * MAX_PIXELS


def plan(sources, folder, *, animations=True):
    """Decide which pictures are read, and where each painting goes.

    Parameters
    ----------
    sources : sequence of str or path-like
        Pictures, and folders whose pictures are taken, those of folders in them left out.
    folder : str or path-like
        Where the paintings go: under the picture's name, as JPEG where it is one, GIF where it is one, else PNG; videos
        as `paint_video` writes them.
    animations : bool, optional
        Whether a GIF becomes a GIF, and videos are taken from folders. Otherwise a GIF becomes a PNG, since only its
        first frame is painted.

    Returns
    -------
    dict of pathlib.Path to pathlib.Path
        Picture to painting.

    Raises
    ------
    ValueError
        If a painting would replace one of the pictures or another painting, or a folder holds no picture.
    """
    pictures = []
    for source in map(pathlib.Path, sources):
        if not source.is_dir():
            pictures.append(source)
            continue
        taken = (*SUFFIXES, *video.SUFFIXES) if animations else SUFFIXES
        found = sorted(p for p in source.iterdir() if p.suffix.lower() in taken and p.is_file())
        if not found:
            raise ValueError(f"Expected a folder with pictures; there is none in {source}. Check the name.")
        pictures += found
    inputs, outputs = {p.resolve() for p in pictures}, {}
    for picture in dict.fromkeys(pictures):
        suffix = picture.suffix.lower()
        keeps = suffix in (".jpg", ".jpeg", ".png", *((".gif", *video.KEPT) if animations else ()))
        other = ".mkv" if suffix in video.SUFFIXES else ".png"
        output = pathlib.Path(folder, picture.name if keeps else f"{picture.stem}{other}")
        if output.resolve() in inputs:
            raise ValueError(f"Expected another folder to write to; in {folder} lies your picture {output.name}.")
        other = next((p for p, o in outputs.items() if o == output), None)
        if other is not None:
            raise ValueError(
                f"Expected pictures with different names; {other} and {picture} would both become {output}. "
                "Rename one, or write them to different folders."
            )
        outputs[picture] = output
    return outputs


def apply_to_file(net, source, output, *, padding=None, precision="float32", steady=0.0, callback=None):
    """Apply a network to a picture file, or to each frame of an animated GIF or a video.

    Parameters
    ----------
    net : TransformNet
        The network.
    source, output : str or path-like
        The file to read and the file to write, which appears whole or not at all. Both end in .gif, or neither.
    padding, precision : str, optional
        As `TransformNet.apply` takes them.
    steady, callback : optional
        Of a video, as `paint_video` takes them.

    Raises
    ------
    FileNotFoundError
        If there is no such picture.
    ModuleNotFoundError
        If it is a video, and PyAV is not installed.
    ImageError
        If it cannot be used.
    OSError
        If the painting cannot be written.
    """
    options = {"padding": padding, "precision": precision}
    if pathlib.Path(source).suffix.lower() in video.SUFFIXES:
        video.paint_video(net, source, output, steady=steady, callback=callback, **options)
        return
    first = read_image(source)  # whatever is wrong with the file, this says
    if pathlib.Path(source).suffix.lower() != ".gif":
        save_image(output, net.apply(first, **options))
        return
    frames, durations, repeated = _read_animation(pathlib.Path(source))
    frames = [Image.fromarray(net.apply(frame, **options)) for frame in frames]
    data = io.BytesIO()
    frames[0].save(data, "GIF", save_all=True, append_images=frames[1:], duration=durations, **repeated)
    with whole_file(output) as temporary:
        temporary.write_bytes(data.getvalue())


def _read_animation(path):
    """Return a GIF's frames as pictures, the milliseconds of each, and how often it is repeated."""
    try:
        with own_pixel_limit(), Image.open(path, formats=["GIF"]) as animation:
            width, height = animation.size
            if animation.n_frames * width * height > _MAX_ANIMATION:
                raise ImageError(
                    f"Expected an animation of at most {_MAX_ANIMATION:,} pixels; {path} has {animation.n_frames} "
                    f"frames of {width} x {height}. Make it smaller or shorter."
                )
            frames, durations = [], []
            for frame in ImageSequence.Iterator(animation):
                frames.append(to_rgb(frame, path))
                durations.append(frame.info.get("duration", 0))
            # Without "loop" it plays once; with 0, for ever.
            return frames, durations, {key: animation.info[key] for key in ("loop",) if key in animation.info}
    except ImageError:
        raise
    except Exception as error:  # Pillow raises almost anything for damaged files
        raise ImageError(f"{path} is damaged or truncated: {error}. Save or download it again.") from error
