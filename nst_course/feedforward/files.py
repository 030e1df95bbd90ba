"""A network applied to picture files, each whatever size it is; to animations and videos frame by frame."""

import io
import pathlib

from PIL import Image

from .._files import whole_file
from ..decoding import count_frames, decode_frames
from ..images import check_size, read_first, save_painting
from . import video

#: What is taken from a folder; a file that is named may end otherwise.
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm")

#: What can hold an animation, and how Pillow calls it.
_MOVING = {".gif": "GIF", ".png": "PNG", ".webp": "WEBP"}


def plan(sources, folder, *, animations=True):
    """Decide which pictures are read, and where each painting goes.

    Parameters
    ----------
    sources : sequence of str or path-like
        Pictures, and folders whose pictures are taken: not those of folders in them, nor files whose names begin with a
        dot, as macOS adds one to each picture (``._photo.jpg``).
    folder : str or path-like
        Where the paintings go: under the picture's name, ending in .jpg where it does, in .gif where it is a GIF by its
        content, else in .png; videos as `paint_video` writes them.
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
        found = sorted(p for p in source.iterdir() if is_taken(p, taken))
        if not found:
            raise ValueError(f"Expected a folder with pictures; there is none in {source}. Check the name.")
        pictures += found
    inputs, outputs = {p.resolve() for p in pictures}, {}
    for picture in dict.fromkeys(pictures):
        suffix, is_gif = picture.suffix.lower(), _is_gif(picture)
        keeps = suffix in (".jpg", ".jpeg", ".png", *(video.KEPT if animations else ()))
        other = ".mkv" if suffix in video.SUFFIXES else ".png"
        if is_gif and animations:
            keeps, other = suffix == ".gif", ".gif"
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


def is_taken(path, suffixes=SUFFIXES):
    """Say whether a file of a folder counts as a picture.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    suffixes : tuple of str, optional
        What it may end in.

    Returns
    -------
    bool
    """
    return path.suffix.lower() in suffixes and not path.name.startswith(".") and path.is_file()


def _is_gif(path):
    try:
        with open(path, "rb") as file:
            return file.read(4) == b"GIF8"
    except OSError:  # not there, or not to be read: the name has to do
        return path.suffix.lower() == ".gif"


def apply_to_file(net, source, output, *, padding=None, precision="float32", steady=0.0, callback=None):
    """Apply a network to a picture file, or to each frame of an animation or a video.

    What the source is, is read off its content, not its name. An animated GIF, WebP or PNG becomes an animation if
    `output` ends in .gif, .png or .webp; for another name its first frame is painted, and a line printed that says so.

    Parameters
    ----------
    net : TransformNet
        The network.
    source, output : str or path-like
        The file to read and the file to write, which appears whole or not at all.
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
    PictureTooLargeError
        If painting it would take more memory than there is.
    ValueError
        If `output` cannot hold a picture of its size.
    OSError
        If the painting cannot be written. A picture is then saved under another name, which the message says.
    """
    options = {"padding": padding, "precision": precision}
    if pathlib.Path(source).suffix.lower() in video.SUFFIXES:
        video.paint_video(net, source, output, steady=steady, callback=callback, **options)
        return
    suffix = pathlib.Path(output).suffix.lower()
    if suffix != ".gif" and (suffix not in _MOVING or count_frames(source)[0] == 1):
        image = read_first(source)
        check_size(output, image.shape[:2])
        save_painting(output, net.apply(image, **options))
        return
    frames, durations, loops = [], [], []
    for frame, duration, loop in decode_frames(source):
        if not frames:
            check_size(output, frame.shape[:2])
        frames.append(Image.fromarray(net.apply(frame, **options)))
        durations.append(duration)
        loops.append(loop)
    data = io.BytesIO()
    # Without "loop" it plays once; with 0, for ever.
    repeated = {} if loops[0] is None else {"loop": loops[0]}
    kind = _MOVING[suffix]
    frames[0].save(data, kind, save_all=True, append_images=frames[1:], duration=durations, **repeated)
    with whole_file(output) as temporary:
        temporary.write_bytes(data.getvalue())
