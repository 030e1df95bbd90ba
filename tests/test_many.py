"""Folders of pictures: on the command line, with executors, on a cluster of dask."""

import concurrent.futures
import functools
import multiprocessing
import os
import pickle
import secrets
import signal
import sys
import time

import numpy as np
import pytest
from PIL import Image

from nst_course import (
    COURSE,
    FAST,
    Style,
    StyleFile,
    TransformNet,
    VGGWeights,
    apply_to_files,
    cli,
    dask_executor,
    paint_files,
    read_image,
    read_mask,
    save_image,
    save_network,
    stylize,
    stylize_files,
    stylize_to_file,
    write_mat,
)
from nst_course._files import whole_file
from nst_course.eager import files
from nst_course.feedforward.transform_net import random_parameters

QUICK = COURSE.but(iterations=3)
SIZES = {"a.png": (24, 32), "b.jpg": (20, 16), "c.webp": (16, 18)}


def picture(n_H, n_W, seed=0):
    return np.random.RandomState(seed).randint(0, 256, (n_H, n_W, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a tiny VGG, a network of one pass, a style, and a folder of pictures of which one is broken."""
    folder = tmp_path_factory.mktemp("place")
    write_mat(VGGWeights.random(widths=(2, 3, 4, 4, 4)), folder / "tiny.mat")
    save_network(folder / "net.npz", TransformNet(random_parameters(3)))
    save_image(folder / "style.png", picture(40, 20, 1))
    for name, size in SIZES.items():
        save_image(folder / "pictures" / name, picture(*size))
    (folder / "pictures" / "broken.png").write_bytes((folder / "pictures" / "a.png").read_bytes()[:60])
    return folder


def command(*words):
    return cli.main([str(word) for word in words])


def stylize_folder(place, *words, content="pictures"):
    options = ("--weights", place / "tiny.mat", "--preset", "course", "--iterations", "3")
    return command("stylize", place / content, place / "style.png", *words, *options)


def contents(folder):
    """Give the bytes of a folder's files by their names; those that begin with a dot were never finished."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.startswith(".")}


# --- stylize ----------------------------------------------------------------------------------------------------------


def test_stylize_takes_a_folder(place, tmp_path, capsys):
    assert stylize_folder(place, "-o", tmp_path / "out", "--seed", "1") == 1
    captured = capsys.readouterr()
    assert sorted(contents(tmp_path / "out")) == ["a.png", "b.jpg", "c.png"]
    assert "3 of 4" in captured.out and str(tmp_path / "out") in captured.out and "4/4" in captured.err
    failures = captured.err.split("not painted:\n")[1]
    assert "broken.png is damaged" in failures and "a.png" not in failures and "Traceback" not in captured.err
    content, style = read_image(place / "pictures" / "a.png"), read_image(place / "style.png")
    expected = stylize(content, style, QUICK, weights=place / "tiny.mat", seed=1).image
    np.testing.assert_array_equal(read_image(tmp_path / "out" / "a.png"), expected)
    assert read_image(tmp_path / "out" / "b.jpg").shape == (20, 16, 3)


def test_lines_about_every_picture_are_printed_once(place, tmp_path, capsys):
    words = (place / "pictures", place / "style.png", "-o", tmp_path / "out", "--weights", place / "tiny.mat")
    assert command("stylize", *words, "--size", "16", "--iterations", "1") == 1
    assert capsys.readouterr().out.count("Without the sketch") == 1
    assert {read_image(path).shape[1] for path in (tmp_path / "out").iterdir()} == {16}


def test_a_picture_too_large_for_the_memory_does_not_stop_the_rest(place, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("nst_course.eager.memory.available_memory", lambda: 110_000_000)
    save_image(tmp_path / "in" / "a.png", picture(3000, 400))
    save_image(tmp_path / "in" / "b.png", picture(20, 16))
    assert stylize_folder(place, "-o", tmp_path / "out", content=tmp_path / "in") == 1
    assert "a.png: A run at 400 x 3000 pixels takes about" in capsys.readouterr().err
    assert list(contents(tmp_path / "out")) == ["b.png"]


def test_pictures_are_not_written_over(place, tmp_path, capsys):
    before = contents(place / "pictures")
    assert stylize_folder(place, "-o", place / "pictures") == 1
    assert "Expected another folder to write to" in capsys.readouterr().err
    save_image(tmp_path / "out" / "a.png", picture(9, 9))
    kept = contents(tmp_path / "out")
    assert stylize_folder(place, tmp_path / "out" / "a.png", "-o", tmp_path / "out") == 1
    assert "a.png is one of your pictures" in capsys.readouterr().err
    assert contents(place / "pictures") == before and contents(tmp_path / "out") == kept


def test_of_a_gif_the_first_frame_is_painted(place, tmp_path):
    (tmp_path / "in").mkdir()
    frames = [Image.fromarray(picture(9, 9, seed)) for seed in range(2)]
    frames[0].save(tmp_path / "in" / "a.gif", save_all=True, append_images=frames[1:])
    assert stylize_folder(place, "-o", tmp_path / "out", content=tmp_path / "in") == 0
    assert list(contents(tmp_path / "out")) == ["a.png"]


def test_two_animations_of_one_name_are_refused(place, tmp_path, capsys):
    for name in ("a.png", "a.jpg"):
        save_image(tmp_path / "in" / name, picture(9, 9))
    assert stylize_folder(place, "-o", tmp_path, "--gif", content=tmp_path / "in") == 1
    assert "two would write" in capsys.readouterr().err


def test_the_way_to_a_picture(place, tmp_path):
    painting, steps = tmp_path / "out.jpg", []
    content, style = picture(24, 32), picture(40, 20, 1)
    preset = FAST.but(sketch=(), iterations=(2, 4), precision="float32", color="luminance")
    options = {"weights": VGGWeights.random(widths=(2, 3, 4, 4, 4)), "every": 2, "gif": True}
    last = stylize_to_file(content, style, painting, preset, callback=steps.append, **options)
    names = ["out-000002.jpg", "out-000004.jpg", "out-000006.jpg", "out.gif", "out.jpg"]
    assert sorted(contents(tmp_path)) == names and len(steps) == 6
    assert sorted(path.name for path in files.names_of_run(painting, preset, every=2, gif=True)) == names
    # The first steps have half the size; what is saved of them has not.
    assert steps[0].image.shape[1:3] == (12, 16) and read_image(tmp_path / names[0]).shape == (24, 32, 3)
    assert (tmp_path / names[2]).read_bytes() == painting.read_bytes()
    np.testing.assert_array_equal(last.image.shape, read_image(tmp_path / "out.gif").shape)


def test_the_way_on_the_command_line(place, tmp_path):
    stylize_folder(place, "-o", tmp_path / "out", "--every", "2", "--gif")
    stems = {"a-000002.png", "a.gif", "a.png", "b-000002.jpg", "b.gif", "b.jpg", "c-000002.png", "c.gif", "c.png"}
    assert set(contents(tmp_path / "out")) == stems


def test_animations_are_small_and_of_few_pictures(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "GIF_SIDE", 16)
    monkeypatch.setattr(files, "GIF_PICTURES", 4)
    weights = VGGWeights.random(widths=(2, 3, 4, 4, 4))
    preset = COURSE.but(iterations=11)
    stylize_to_file(picture(32, 24), picture(9, 9, 1), tmp_path / "a.png", preset, weights=weights, gif=True, seed=1)
    with Image.open(tmp_path / "a.gif") as animation:
        assert animation.size == (12, 16) and animation.n_frames == 5  # steps 1, 4, 7, 10, and the end


def test_weights_scales_and_masks_go_to_their_styles(place, tmp_path, monkeypatch):
    calls, engine = [], files.stylize
    monkeypatch.setattr(files, "stylize", lambda *args, **kwargs: calls.append(args[1]) or engine(*args, **kwargs))
    half = np.zeros((4, 6, 3), np.uint8)
    half[:, :3] = 255
    save_image(tmp_path / "left.png", half)
    save_image(tmp_path / "right.png", 255 - half)
    masks = ("--mask", tmp_path / "left.png", "--mask", tmp_path / "right.png")
    words = [place / "style.png", "--weight", "3", "--weight", "1", "--scale", "0.5", *masks]
    stylize_folder(place, *words, "-o", tmp_path / "out", "--seed", "1")
    first, second = calls[0]
    assert (first.weight, second.weight, first.scale, second.scale) == (3, 1, 0.5, 0.5)
    np.testing.assert_array_equal(first.mask, half[:, :, 0] / 255)
    np.testing.assert_array_equal(second.mask, 1 - first.mask)


@pytest.mark.parametrize(
    "words, sentence",
    [
        (
            ("--weight", "1", "--weight", "2", "--weight", "3"),
            "Expected --weight once for all styles, or once for each",
        ),
        (("--weight", "0"), "Expected at least one style with a weight above 0"),
        (("--weight", "-1"), "the weight of a style must be a finite number"),
        (("--scale", "9"), "The scale of a style must be above 0 and at most 8"),
        (("--mask", "black.png"), "black.png is all black"),
        (("--mask", "none.png"), "Expected a picture file; there is none at"),
    ],
)
def test_styles_that_cannot_be(place, tmp_path, capsys, monkeypatch, words, sentence):
    monkeypatch.chdir(tmp_path)
    save_image("black.png", np.zeros((4, 6, 3), np.uint8))
    for content in ("pictures", "pictures/a.png"):
        assert stylize_folder(place, place / "style.png", "-o", "out.png", *words, content=content) == 1
        *before, error = capsys.readouterr().err.splitlines()
        assert error.startswith("nst-course: ") and sentence in error and "Traceback" not in str(before)


def test_a_mask_is_read_as_grey(tmp_path):
    mask = np.zeros((3, 4, 3), np.uint8)
    mask[0], mask[1] = 255, 100
    save_image(tmp_path / "mask.png", mask)
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.png"), mask[:, :, 0])


# --- Ctrl-C -----------------------------------------------------------------------------------------------------------


def interrupting(monkeypatch, *pictures):
    """Have Ctrl-C come in after a step of the pictures with these numbers, as Python would take it."""
    engine, runs = files.stylize, []

    def stylize(*args, callback, **kwargs):
        number = len(runs)
        runs.append(number)

        def stop(step):
            callback(step)
            if number in pictures:
                signal.raise_signal(signal.SIGINT)

        return engine(*args, callback=stop, **kwargs)

    monkeypatch.setattr(files, "stylize", stylize)
    return runs


def test_one_interrupt_ends_a_picture_and_two_the_command(place, tmp_path, monkeypatch, capsys):
    runs = interrupting(monkeypatch, 0)
    assert stylize_folder(place, "-o", tmp_path / "one") == 1  # for the broken one
    assert len(runs) == 3 and len(contents(tmp_path / "one")) == 3
    monkeypatch.undo()
    runs = interrupting(monkeypatch, 0, 1)
    assert stylize_folder(place, "-o", tmp_path / "two") == 130
    captured = capsys.readouterr()
    assert len(runs) == 2 and sorted(contents(tmp_path / "two")) == ["a.png", "b.jpg"]
    assert "2 of 4" in captured.out and captured.err.rstrip().endswith("Interrupted.")


def test_a_second_interrupt_while_the_first_picture_is_saved_ends_the_command(place, tmp_path, monkeypatch):
    interrupting(monkeypatch, 0)
    monkeypatch.setattr(files, "save_painting", lambda *args: signal.raise_signal(signal.SIGINT))
    assert stylize_folder(place, "-o", tmp_path / "out") == 130
    assert contents(tmp_path / "out") == {}


# --- restyle ----------------------------------------------------------------------------------------------------------


def test_restyle_takes_a_folder(place, tmp_path, monkeypatch, capsys):
    class Painter:
        def stylize(self, content, styles, *, strength):
            assert [s.weight for s in styles] == [2, 1] and strength == 0.5
            return 255 - content

    monkeypatch.setattr("nst_course.feedforward.arbitrary.load_arbitrary", lambda folder: Painter())
    words = (place / "pictures", place / "style.png", place / "style.png", "-o", tmp_path / "out", "--strength", "0.5")
    assert command("restyle", *words, "--weight", "2", "--weight", "1") == 1
    captured = capsys.readouterr()
    assert "3 of 4" in captured.out and "broken.png is damaged" in captured.err
    expected = 255 - read_image(place / "pictures" / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "out" / "a.png"), expected)


# --- executors --------------------------------------------------------------------------------------------------------


def pictures_of(place, folder):
    return {path: folder / f"{path.stem}.png" for path in sorted((place / "pictures").iterdir())}


def paintings(results, outputs):
    """Check that each picture is reported once and only the broken one failed; return what was written."""
    results = list(results)
    errors = dict(results)
    assert len(results) == len(outputs) and errors.keys() == outputs.keys()
    assert [path.name for path, error in errors.items() if error is not None] == ["broken.png"]
    return {path.name: path.read_bytes() for path in outputs.values() if path.exists()}


def test_threads_paint_the_same(place, tmp_path, monkeypatch):
    monkeypatch.chdir(place)
    alone = paintings(apply_to_files("net.npz", outputs := pictures_of(place, tmp_path / "a")), outputs)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        outputs = pictures_of(place, tmp_path / "b")
        assert paintings(apply_to_files("net.npz", outputs, executor=pool), outputs) == alone
    assert len(alone) == 3


def test_processes_paint_the_same(place, tmp_path, monkeypatch):
    monkeypatch.chdir(place)
    net, outputs = TransformNet(random_parameters(3)), pictures_of(place, tmp_path / "a")
    options = {"weights": VGGWeights.random(widths=(2, 3, 4, 4, 4)), "seed": 1}
    style = Style(read_image("style.png"), mask=np.ones((2, 2), bool))
    applied = paintings(apply_to_files(net, outputs), outputs)
    stylized = paintings(stylize_files(outputs, style, QUICK, **options), outputs)
    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=spawn) as pool:
        outputs = pictures_of(place, tmp_path / "b")
        assert paintings(apply_to_files(net, outputs, executor=pool), outputs) == applied
        assert paintings(stylize_files(outputs, style, QUICK, executor=pool, **options), outputs) == stylized
        (tmp_path / "made").mkdir()
        results = paint_files(functools.partial(counted, tmp_path / "made"), outputs, executor=pool)
        assert dict(results) == dict.fromkeys(outputs)
    assert len(contents(tmp_path / "made")) == 2  # here, to see that it can be, and once in the other process


def counted(folder):
    (folder / secrets.token_hex()).touch()
    return lambda source, output: None


def test_what_is_wrong_with_all_pictures_is_said_at_once(place, tmp_path):
    outputs = pictures_of(place, tmp_path)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        with pytest.raises(FileNotFoundError, match="Expected a network"):
            apply_to_files(place / "none.npz", outputs, executor=pool)
        with pytest.raises(FileNotFoundError, match="Expected a picture file"):
            stylize_files(outputs, place / "none.png", executor=pool)
    assert contents(tmp_path) == {}


def test_a_lost_process_is_an_error_of_its_pictures(place, tmp_path):
    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=spawn) as pool:
        outputs = {name: tmp_path / name for name in ("a", "b")}
        results = dict(paint_files(functools.partial(deadly, None), outputs, executor=pool))
    assert results.keys() == outputs.keys() and all("terminated abruptly" in error for error in results.values())


def test_tasks_that_wait_are_cancelled_with_the_iterator(tmp_path):
    painted = []
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        outputs = {str(n): tmp_path / f"{n}.png" for n in range(50)}
        results = paint_files(functools.partial(slow, painted), outputs, executor=pool)
        next(results)
        results.close()
    assert 1 <= len(painted) < 50


def slow(painted):
    def paint(source, output):
        time.sleep(0.01)
        painted.append(output)

    return paint


@pytest.mark.parametrize("thing", [VGGWeights.random(), TransformNet(random_parameters(0)), FAST, StyleFile("a.png")])
def test_what_tasks_carry_can_travel(thing):
    again = pickle.loads(pickle.dumps(thing))
    assert type(again) is type(thing) and repr(again)[:40] == repr(thing)[:40]


# --- dask -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cluster():
    """Two worker processes on this machine."""
    from distributed import LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        yield cluster


def deadly(marker):
    """Make a painter whose process is killed with half a file written, once, or always."""

    def paint(source, output):
        with whole_file(output) as temporary:
            temporary.write_bytes(b"half")
            if marker is None or not marker.exists():
                if marker is not None:
                    marker.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            temporary.write_bytes(b"half and half")

    return paint


def test_dask_paints_the_same(cluster, place, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(place)

    def apply(*words):
        return command("apply", "net.npz", "pictures", *words)

    for name, paint in (("apply", apply), ("stylize", functools.partial(stylize_folder, place, "--seed", "1"))):
        assert paint("-o", tmp_path / name) == 1
        assert paint("-o", tmp_path / f"{name}-dask", "--dask", cluster.scheduler_address) == 1
        captured = capsys.readouterr()
        assert captured.out.count("3 of 4") == 2 and captured.err.count("broken.png is damaged") == 2
        assert len(contents(tmp_path / name)) == 3
        assert contents(tmp_path / f"{name}-dask") == contents(tmp_path / name)
    one = ("-o", tmp_path / "one.png", "--seed", "1", "--dask", cluster.scheduler_address)
    assert stylize_folder(place, *one, content="pictures/a.png") == 0
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "stylize" / "a.png").read_bytes()


def test_a_worker_killed_in_the_middle_of_a_file_loses_nothing(cluster, tmp_path):
    with dask_executor(cluster.scheduler_address) as executor:
        outputs = {name: tmp_path / "out" / name for name in "abcdef"}
        results = dict(paint_files(functools.partial(deadly, tmp_path / "marker"), outputs, executor=executor))
    assert (tmp_path / "marker").exists() and results == dict.fromkeys(outputs)
    assert contents(tmp_path / "out") == dict.fromkeys(outputs, b"half and half")


def test_a_worker_killed_while_a_folder_is_painted_loses_nothing(cluster, place, tmp_path):
    for n in range(12):
        save_image(tmp_path / "in" / f"{n}.png", picture(64 + 4 * n, 64, n))
    inputs = sorted((tmp_path / "in").iterdir())
    assert all(error is None for _, error in apply_to_files(place / "net.npz", {p: tmp_path / p.name for p in inputs}))
    expected = {path.name: (tmp_path / path.name).read_bytes() for path in inputs}
    with dask_executor(cluster.scheduler_address) as executor:
        outputs = {path: tmp_path / "out" / path.name for path in inputs}
        results = apply_to_files(place / "net.npz", outputs, executor=executor)
        errors = [next(results)]
        os.kill(next(iter(cluster.workers.values())).pid, signal.SIGKILL)
        errors += results
    assert len(errors) == 12 and all(error is None for _, error in errors)
    assert contents(tmp_path / "out") == expected


def test_without_dask_the_error_says_what_to_type(place, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    words = (place / "net.npz", place / "pictures", "-o", tmp_path / "out", "--dask", "tcp://127.0.0.1:9")
    assert command("apply", *words) == 1
    assert 'Type pip install -e ".[cluster]"' in capsys.readouterr().err


def test_no_scheduler(place, tmp_path, capsys, monkeypatch):
    import dask

    words = (place / "net.npz", place / "pictures", "-o", tmp_path / "out", "--dask", "tcp://127.0.0.1:9")
    with dask.config.set({"distributed.comm.timeouts.connect": "1s"}):
        assert command("apply", *words) == 1
    assert "127.0.0.1:9" in capsys.readouterr().err and not (tmp_path / "out").exists()
