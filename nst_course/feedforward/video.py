"""A network applied to a video, frame by frame, with PyAV (FFmpeg): the extra ``[video]``."""

import pathlib

import numpy as np
from scipy import ndimage

from .._files import whole_file
from .._text import printable
from ..images import MAX_PIXELS, ImageError

#: What is taken from a folder as a video. Those that end otherwise than a container that takes any sound become .mkv.
SUFFIXES = (".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi")
KEPT = (".mp4", ".mov", ".m4v", ".mkv")

#: By how many grey levels a photograph must have changed for nothing of the last painting to stay.
_CHANGED = 12


def paint_video(net, source, output, *, steady=0.0, padding=None, precision="float32", callback=None):
    r"""Paint a video: as many frames, at the same times, of the same size, with the same sound.

    .. math:: y'_t = w\, y'_{t-1} + (1 - w)\, y_t, \qquad w = s \max\left(0, 1 - \frac{|x_t - x_{t-1}|}{12}\right)

    with paintings y of frames x, and the change of the photograph averaged over 5 x 5 pixels. One frame is in memory at
    a time, and one before it. Frames that lie on their side are set upright.

    Parameters
    ----------
    net : TransformNet
        The network.
    source, output : str or path-like
        The video to read, and the one to write, which appears when it is finished: H.264, the sound as it was. Odd
        sides lose a pixel, which H.264 cannot store.
    steady : float, optional
        s, 0 to below 1: how much of the last painting stays where the photograph does not change. It lessens flicker,
        and does not follow what moves.
    padding, precision : str, optional
        As `TransformNet.apply` takes them.
    callback : callable, optional
        Called after each frame with the number of those painted and of all, which is 0 where the file does not say it.

    Raises
    ------
    FileNotFoundError
        If there is no such video.
    ModuleNotFoundError
        If PyAV is not installed; the message says what to type.
    ImageError
        If it is no video, or damaged. What could be painted before the damage is a whole video in `output`.
    ValueError
        If `steady` is out of range, or `output` is the video itself.
    OSError
        If the painting cannot be written.

    Notes
    -----
    After Ctrl-C, too, what was painted is a whole video in `output`.
    """
    av, source = _pyav(), pathlib.Path(source)
    if not 0 <= steady < 1:
        raise ValueError(f"steady must be a number from 0 to below 1; found {steady}.")
    if not source.is_file():
        raise FileNotFoundError(f"Expected a video; there is none at {source}. Check the name and the folder.")
    if pathlib.Path(output).resolve() == source.resolve():
        raise ValueError(f"Expected a new file to write to; {output} is your video. Choose another name.")
    n_H, n_W = _first_frame(av, source).shape[:2]
    if n_H % 2 or n_W % 2:
        print(printable(f"{source}: H.264 has even sides, so {output} is one pixel smaller."))
    painted, ended_by, paint = 0, None, _Steady(net, steady, padding, precision)
    with _opened(av, source) as given, whole_file(output) as temporary, av.open(str(temporary), "w") as found:
        video = given.streams.video[0]
        promised = video.frames
        # All streams before the first packet: it is with that that a file's head is written.
        stream = found.add_stream("libx264", rate=video.average_rate or 25, options={"crf": "18"})
        stream.height, stream.width, stream.pix_fmt = n_H - n_H % 2, n_W - n_W % 2, "yuv420p"
        stream.codec_context.time_base = video.time_base
        sounds = {sound.index: found.add_stream_from_template(sound) for sound in given.streams.audio}
        try:
            for packet in given.demux(video, *given.streams.audio):
                if packet.stream_index in sounds:
                    if packet.dts is not None:  # the last, empty one
                        packet.stream = sounds[packet.stream_index]
                        found.mux(packet)
                    continue
                for frame in packet.decode():
                    y = paint(_upright(frame))[: stream.height, : stream.width]
                    painting = av.VideoFrame.from_ndarray(np.ascontiguousarray(y), "rgb24")
                    painting.pts, painting.time_base = frame.pts, frame.time_base
                    found.mux(stream.encode(painting))
                    painted += 1
                    if callback is not None:
                        callback(painted, promised)
        except (av.error.FFmpegError, KeyboardInterrupt) as error:
            ended_by = error
        found.mux(stream.encode(None))
    if isinstance(ended_by, KeyboardInterrupt):
        raise ended_by
    if ended_by is not None or painted < promised:
        missing = f" of {promised}" if promised else ""
        raise ImageError(
            f"{source} is damaged or truncated: {painted} frames{missing} could be read, and are in {output}. Save or "
            "download it again for the rest."
        )


class _Steady:
    """Paints frame after frame, and keeps what did not change."""

    def __init__(self, net, steady, padding, precision):
        self.net, self.steady, self.options = net, steady, {"padding": padding, "precision": precision}
        self.before = None

    def __call__(self, x):
        y = self.net.apply(x, **self.options)
        if self.steady:
            if self.before is not None and self.before[0].shape == x.shape:
                change = np.abs(x.astype(np.float32) - self.before[0]).mean(axis=2)
                w = self.steady * np.maximum(0, 1 - ndimage.uniform_filter(change, 5) / _CHANGED)[:, :, None]
                y = np.rint(w * self.before[1] + (1 - w) * y).astype(np.uint8)
            self.before = x, y
        return y


def _opened(av, source):
    """Open a video, or say what is wrong with it."""
    try:
        given = av.open(str(source))
    except av.error.FFmpegError as error:
        raise ImageError(f"Expected a video; {source} is none, or damaged. Save or download it again.") from error
    if not given.streams.video:
        given.close()
        raise ImageError(f"Expected a video; there are no pictures in {source}, only sound. Choose another file.")
    width, height = given.streams.video[0].width, given.streams.video[0].height
    if width * height > MAX_PIXELS:
        given.close()
        raise ImageError(f"Expected frames of at most {MAX_PIXELS:,} pixels; those of {source} are {width} x {height}.")
    return given


def _first_frame(av, source):
    with _opened(av, source) as given:
        try:
            return _upright(next(given.decode(video=0)))
        except (av.error.FFmpegError, StopIteration) as error:
            raise ImageError(f"Expected a video; no frame of {source} can be read. Download it again.") from error


def _upright(frame):
    return np.rot90(frame.to_ndarray(format="rgb24"), frame.rotation // 90)


def _pyav():
    try:
        import av
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            'Videos need PyAV, which is not installed. Type pip install -e ".[video]" in the project\'s folder.',
            name=error.name,
        ) from error
    return av
