import contextlib
import fractions
import sys

import av
import numpy as np
import pytest

from nst_course import ImageError, TransformNet, cli, save_image, save_network
from nst_course.feedforward import video as video_module
from nst_course.feedforward.files import plan
from nst_course.feedforward.transform_net import random_parameters
from nst_course.feedforward.video import paint_video

RATE = 10


@pytest.fixture(scope="module")
def net():
    return TransformNet(random_parameters(0))


def frames(count, n_H=48, n_W=64, noise=0, seed=0):
    """A bright square that moves over a slope, with some noise."""
    rng = np.random.RandomState(seed)
    for i in range(count):
        frame = np.tile(np.linspace(40, 160, n_W)[:, None], (n_H, 1, 3))
        frame[10:30, 3 * i : 3 * i + 20] = (220, 60, 90)
        yield np.clip(frame + noise * rng.randn(n_H, n_W, 3), 0, 255).astype(np.uint8)


def write(path, pictures, sound=True, times=None, codec="libx264"):
    """Write a clip with PyAV; `times` are those of its frames, in tenths of a second."""
    with av.open(str(path), "w") as container:
        pictures = list(pictures)
        if pictures:
            stream = container.add_stream(codec, rate=RATE, options={"g": "5"})
            stream.height, stream.width = pictures[0].shape[:2]
            stream.pix_fmt = "yuv444p" if stream.width % 2 or stream.height % 2 else "yuv420p"
            stream.codec_context.time_base = fractions.Fraction(1, RATE)
        if sound:
            audio = container.add_stream("aac", rate=8000, layout="mono")
        for time, picture in zip(times or range(len(pictures)), pictures):
            frame = av.VideoFrame.from_ndarray(picture, "rgb24")
            frame.pts, frame.time_base = time, fractions.Fraction(1, RATE)
            container.mux(stream.encode(frame))
        if pictures:
            container.mux(stream.encode(None))
        if sound:
            wave = np.sin(np.arange(16000) / 8000 * 2 * np.pi * 440).astype(np.float32)[None]
            for i in range(0, 16000, 1000):
                frame = av.AudioFrame.from_ndarray(wave[:, i : i + 1000], "fltp", "mono")
                frame.sample_rate, frame.pts = 8000, i
                container.mux(audio.encode(frame))
            container.mux(audio.encode(None))
    return path


def read(path):
    """Return the frames of a clip, their times in seconds, and the packets of its sound."""
    with av.open(str(path)) as container:
        pictures, times, sound = [], [], []
        for packet in container.demux():
            if packet.stream.type == "audio":
                sound.append(bytes(packet))
            else:
                for frame in packet.decode():
                    pictures.append(frame.to_ndarray(format="rgb24"))
                    times.append(float(frame.pts * frame.time_base))
        return pictures, times, sound


def test_frames_times_and_sound_are_kept(net, tmp_path):
    times, seen = [0, 1, 2, 5, 6, 9], []  # as a phone writes them: not at equal distances
    clip = write(tmp_path / "clip.mp4", frames(6), times=times)
    paint_video(net, clip, tmp_path / "out.mp4", callback=lambda *numbers: seen.append(numbers))
    given, at, sound = read(clip)
    pictures, painted_at, painted_sound = read(tmp_path / "out.mp4")
    assert len(pictures) == len(given) == 6 and pictures[0].shape == (48, 64, 3)
    np.testing.assert_allclose(painted_at, at, atol=1e-3)
    assert painted_sound == sound and len(sound) > 5
    assert seen == [(i + 1, 6) for i in range(6)]
    for picture, painting in zip(given, pictures):
        found, expected = (p.reshape(6, 8, 8, 8, 3).mean(axis=(1, 3)) for p in (painting, net.apply(picture)))
        assert np.abs(found - expected).mean() < 0.4 * np.abs(found - found.mean()).mean()  # H.264 loses details
    with av.open(str(tmp_path / "out.mp4")) as container:
        with av.open(str(clip)) as original:
            rates = [float(c.streams.video[0].average_rate) for c in (container, original)]
    assert rates[0] == pytest.approx(rates[1], rel=0.05)  # how long the last frame stays is not told alike


def test_one_frame_at_a_time(net, tmp_path, monkeypatch):
    """The frames that wait for the next one do not grow in number: decoding goes on only when one is painted."""
    clip = write(tmp_path / "clip.mp4", frames(30), sound=False)
    decoded, ahead, upright = [-1], [], video_module._upright  # the first one is looked at for its size

    def counting(frame):
        decoded[0] += 1
        return upright(frame)

    monkeypatch.setattr(video_module, "_upright", counting)
    paint_video(net, clip, tmp_path / "out.mp4", callback=lambda painted, _: ahead.append(decoded[0] - painted))
    assert ahead == [0] * 30


def test_steady_lessens_flicker(net, tmp_path):
    still = write(tmp_path / "still.mkv", (next(frames(1, noise=4, seed=s)) for s in range(6)), sound=False)

    def flicker(steady):
        paint_video(net, still, tmp_path / "out.mkv", steady=steady)
        pictures = np.array(read(tmp_path / "out.mkv")[0], float)
        return np.abs(np.diff(pictures, axis=0)).mean()

    assert flicker(0.9) < 0.5 * flicker(0)
    with pytest.raises(ValueError, match="steady must be a number from 0 to below 1; found 1"):
        paint_video(net, still, tmp_path / "out.mkv", steady=1)


def test_what_moves_is_painted_anew(net):
    black, white = (np.full((16, 16, 3), grey, np.uint8) for grey in (0, 255))
    paint = video_module._Steady(net, 0.9, None, "float32")
    paint(black)
    np.testing.assert_array_equal(paint(white), net.apply(white))


def test_odd_sides_lose_a_pixel(net, tmp_path, capsys):
    clip = write(tmp_path / "odd.mkv", frames(2, 47, 63), sound=False)
    paint_video(net, clip, tmp_path / "out.mkv")
    assert read(tmp_path / "out.mkv")[0][0].shape == (46, 62, 3)
    assert "H.264 has even sides" in capsys.readouterr().out


def test_truncated_clips_keep_what_was_painted(net, tmp_path):
    whole = write(tmp_path / "whole.mkv", frames(30, noise=20))
    data = whole.read_bytes()
    (tmp_path / "cut.mkv").write_bytes(data[: len(data) * 6 // 10])
    shown = len(read_what_can_be(tmp_path / "cut.mkv"))
    assert 0 < shown < 30
    with contextlib.suppress(ImageError):  # Matroska does not say how many there were; FFmpeg may or may not complain
        paint_video(net, tmp_path / "cut.mkv", tmp_path / "out.mkv")
    assert len(read(tmp_path / "out.mkv")[0]) == shown


def read_what_can_be(path):
    pictures = []
    with av.open(str(path)) as container:
        try:
            for frame in container.decode(video=0):
                pictures.append(frame)
        except av.error.FFmpegError:
            pass
    return pictures


def test_a_truncated_mp4_says_how_much_is_missing(net, tmp_path):
    """Its table of contents stands first, as in clips for the web, and promises more than there is."""
    with av.open(str(tmp_path / "web.mp4"), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=RATE, options={"g": "5"})
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        for picture in frames(30, noise=20):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(stream.encode(None))
    data = (tmp_path / "web.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: len(data) * 6 // 10])
    with pytest.raises(ImageError, match=r"truncated: \d+ frames of 30 could be read, and are in .*out.mp4"):
        paint_video(net, tmp_path / "cut.mp4", tmp_path / "out.mp4")
    assert 5 < len(read(tmp_path / "out.mp4")[0]) < 30


def test_an_interrupt_keeps_what_was_painted(net, tmp_path):
    def stop(painted, total):
        if painted == 4:
            raise KeyboardInterrupt

    clip = write(tmp_path / "clip.mp4", frames(12))
    with pytest.raises(KeyboardInterrupt):
        paint_video(net, clip, tmp_path / "out.mp4", callback=stop)
    assert len(read(tmp_path / "out.mp4")[0]) == 4
    assert sorted(p.name for p in tmp_path.iterdir()) == ["clip.mp4", "out.mp4"]


def test_clips_on_their_side_are_set_upright(net, tmp_path, monkeypatch):
    clip = write(tmp_path / "clip.mp4", frames(2), sound=False)
    sizes = []
    monkeypatch.setattr(video_module, "_upright", lambda frame: np.rot90(frame.to_ndarray(format="rgb24"), -1))
    paint_video(net, clip, tmp_path / "out.mp4")
    sizes = [picture.shape for picture in read(tmp_path / "out.mp4")[0]]
    assert sizes == [(64, 48, 3)] * 2


def test_what_is_no_video(net, tmp_path, monkeypatch):
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "empty.mp4").write_bytes(b"")
    for name in ("text.mp4", "empty.mp4"):
        with pytest.raises(ImageError, match=f"Expected a video; .*{name} is none"):
            paint_video(net, tmp_path / name, tmp_path / "out.mp4")
    write(tmp_path / "sound.mp4", [])
    with pytest.raises(ImageError, match="there are no pictures in .*sound.mp4, only sound"):
        paint_video(net, tmp_path / "sound.mp4", tmp_path / "out.mp4")
    with pytest.raises(FileNotFoundError, match="there is none at"):
        paint_video(net, tmp_path / "nowhere.mp4", tmp_path / "out.mp4")
    clip = write(tmp_path / "clip.mp4", frames(1), sound=False)
    with pytest.raises(ValueError, match="is your video"):
        paint_video(net, clip, clip)
    monkeypatch.setattr(video_module, "MAX_PIXELS", 1000)
    with pytest.raises(ImageError, match="at most 1,000 pixels; those of .* are 64 x 48"):
        paint_video(net, clip, tmp_path / "out.mp4")
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ModuleNotFoundError, match=r"\[video\]"):
        paint_video(net, clip, tmp_path / "out.mp4")
    assert not (tmp_path / "out.mp4").exists()


def test_the_command(net, tmp_path, capsys):
    save_network(tmp_path / "net.npz", net)
    folder = tmp_path / "holiday"
    folder.mkdir()
    write(folder / "clip.mp4", frames(3))
    (folder / "broken.mp4").write_text("no video")
    save_image(folder / "a.png", next(frames(1)))
    words = ["apply", tmp_path / "net.npz", folder, "-o", tmp_path / "out", "--steady", 0.5]
    assert cli.main(list(map(str, words))) == 1
    printed = capsys.readouterr()
    assert "Pictures: 2 of 3" in printed.out and "broken.mp4 is none" in printed.err and "frame" in printed.err
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a.png", "clip.mp4"]
    words[4] = folder
    assert cli.main(list(map(str, words))) == 1
    assert "lies your picture" in capsys.readouterr().err


def test_names(tmp_path):
    for name in ("a.webm", "b.mov", "c.png"):
        (tmp_path / name).write_text("")
    assert [o.name for o in plan([tmp_path], tmp_path / "out").values()] == ["a.mkv", "b.mov", "c.png"]
    assert [o.name for o in plan([tmp_path], tmp_path / "out", animations=False).values()] == ["c.png"]
