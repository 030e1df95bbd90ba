import errno
import functools
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from nst_course import VGGWeights, cli, read_image, read_weights, save_image, write_mat
from nst_course.eager import files as eager
from nst_course.eager.presets import PRESETS
from nst_course.expected import EXPECTED


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A folder with a tiny network and two pictures of different sizes."""
    folder = tmp_path_factory.mktemp("tiny")
    write_mat(VGGWeights.random(widths=(2, 3, 4, 4, 4)), folder / "tiny.mat")
    rng = np.random.RandomState(0)
    save_image(folder / "content.png", rng.randint(0, 256, (24, 32, 3)).astype(np.uint8))
    save_image(folder / "style.png", rng.randint(0, 256, (40, 20, 3)).astype(np.uint8))
    return folder


def stylize(folder, output, *options):
    words = ["stylize", folder / "content.png", folder / "style.png", "-o", output, "--weights", folder / "tiny.mat"]
    return cli.main([str(word) for word in [*words, "--iterations", "3", *options]])


def test_stylize(tiny, tmp_path, capfd):
    output = tmp_path / "new folder" / "out.png"
    assert stylize(tiny, output) == 0
    assert read_image(output).shape == (24, 32, 3)
    assert str(output) in capfd.readouterr().out


def test_stylize_size_and_seed(tiny, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        options = ("--size", "16", "--start", "blend", "--seed", seed)
        assert stylize(tiny, tmp_path / f"{name}.png", *options) == 0
    a, b, c = (read_image(tmp_path / f"{name}.png") for name in "abc")
    assert a.shape == (12, 16, 3)
    np.testing.assert_array_equal(a, b)
    assert (a != c).any()


def test_stylize_alpha_and_beta_reach_the_cost(tiny, tmp_path, capsys):
    assert stylize(tiny, tmp_path / "out.png", "--beta", "-1") == 1
    assert "beta must be a finite number of at least 0; found -1" in capsys.readouterr().err
    assert stylize(tiny, tmp_path / "out.png", "--alpha", "nan") == 1
    assert not (tmp_path / "out.png").exists()


def test_stylize_presets_are_the_librarys(tiny, tmp_path):
    content, style = (read_image(tiny / f"{name}.png") for name in ("content", "style"))
    for name, preset in PRESETS.items():
        assert stylize(tiny, tmp_path / "out.png", "--preset", name, "--seed", "2") == 0
        preset = preset.but(iterations=3)
        expected = eager.stylize(content, style, preset, weights=tiny / "tiny.mat", seed=2)
        if preset.precision != "auto":  # two runs may find another precision the faster one
            np.testing.assert_array_equal(read_image(tmp_path / "out.png"), expected.image)


def test_stylize_options_reach_the_run(tiny, tmp_path, monkeypatch, capsys):
    calls, run = [], eager.stylize
    monkeypatch.setattr(eager, "stylize", lambda *args, **kwargs: calls.append(args) or run(*args, **kwargs))
    words = ["--alpha", "3", "--beta", "5", "--variation", "0.5", "--color", "luminance", "--scale", "0.5"]
    assert stylize(tiny, tmp_path / "out.png", *words, "--start", tiny / "content.png") == 0
    (content, styles, preset), *_ = calls
    objective = preset.objective
    assert (objective.alpha, objective.beta, objective.variation, preset.color) == (3, 5, 0.5, "luminance")
    assert [style.scale for style in styles] == [0.5]
    np.testing.assert_array_equal(preset.start, content)
    printed = capsys.readouterr().out
    assert "Memory: about" in printed and "float32" in printed and "bfloat16" in printed


def test_stylize_blends_several_styles(tiny, tmp_path):
    words = ["stylize", tiny / "content.png", tiny / "style.png", tiny / "content.png", "-o", tmp_path / "out.png"]
    options = ["--weights", tiny / "tiny.mat", "--iterations", "1", "--preset", "course"]
    assert cli.main([str(word) for word in [*words, *options, "--seed", "1"]]) == 0
    content, style = (read_image(tiny / f"{name}.png") for name in ("content", "style"))
    preset = PRESETS["course"].but(iterations=1)
    expected = eager.stylize(content, [style, content], preset, weights=tiny / "tiny.mat", seed=1)
    np.testing.assert_array_equal(read_image(tmp_path / "out.png"), expected.image)


def test_stylize_goes_on_with_a_picture_but_not_onto_it(tiny, tmp_path, capsys):
    assert stylize(tiny, tmp_path / "out.png") == 0
    before = (tmp_path / "out.png").read_bytes()
    assert stylize(tiny, tmp_path / "out.png", "--start", tmp_path / "out.png") == 1
    assert "one of your pictures" in capsys.readouterr().err
    assert (tmp_path / "out.png").read_bytes() == before


def test_stylize_does_not_write_over_the_users_pictures(tiny, capsys):
    before = (tiny / "content.png").read_bytes()
    assert stylize(tiny, tiny / "content.png") == 1
    assert "one of your pictures" in capsys.readouterr().err
    assert (tiny / "content.png").read_bytes() == before


@pytest.mark.parametrize(
    "word, replacement, sentence",
    [
        (1, "no such.png", "Expected a picture file"),
        (2, "tiny.mat", "Expected a picture"),
        (6, "no such.mat", "Expected a weights file"),
        (6, "content.png", "Expected MatConvNet weights"),
        (4, "out.txt", "ending in .png"),
    ],
)
def test_bad_input_is_one_sentence(tiny, capsys, word, replacement, sentence):
    words = [
        "stylize",
        tiny / "content.png",
        tiny / "style.png",
        "-o",
        tiny / "out.png",
        "--weights",
        tiny / "tiny.mat",
    ]
    words[word] = tiny / replacement
    assert cli.main([str(word) for word in words]) == 1
    error = capsys.readouterr().err
    assert error.startswith("nst-course: ") and sentence in error and "Traceback" not in error


def test_output_is_checked_before_the_run(tiny, tmp_path, capsys, monkeypatch):
    (tmp_path / "file").write_text("a file, not a folder")
    monkeypatch.setattr(eager, "stylize", lambda *args, **kwargs: pytest.fail("the run was begun"))
    assert stylize(tiny, tmp_path / "file" / "out.png") == 1
    assert "Could not write" in capsys.readouterr().err


def test_a_full_disk_leaves_the_old_picture(tiny, tmp_path, capsys, monkeypatch):
    output = tmp_path / "out.png"
    assert stylize(tiny, output) == 0
    before = output.read_bytes()

    def full(self, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pathlib.Path, "write_bytes", full)
    assert stylize(tiny, output) == 1
    assert "No space left on device" in capsys.readouterr().err
    assert output.read_bytes() == before
    assert list(tmp_path.iterdir()) == [output]


def interrupted(run, *args, callback, **kwargs):
    def stop(step):
        callback(step)
        raise KeyboardInterrupt

    return run(*args, callback=stop, **kwargs)


def test_interrupt_keeps_the_picture(tiny, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(eager, "stylize", functools.partial(interrupted, eager.stylize))
    assert stylize(tiny, tmp_path / "out.png") == 130
    assert f"Picture so far: {tmp_path / 'out.png'}" in capsys.readouterr().out
    assert read_image(tmp_path / "out.png").shape == (24, 32, 3)


def test_interrupting_the_demo_keeps_the_picture(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(eager, "stylize", functools.partial(interrupted, eager.stylize))
    words = ["demo", "-o", tmp_path / "out.png", "--weights", tiny / "tiny.mat", "--iterations", "3"]
    assert cli.main([str(word) for word in words]) == 130
    assert read_image(tmp_path / "out.png").shape == (300, 400, 3)


def test_divergence_keeps_the_last_good_picture(tiny, tmp_path, capsys):
    weights = read_weights(tiny / "tiny.mat")
    huge = {name: (W * 1e6, b) for name, (W, b) in weights.parameters.items()}
    write_mat(VGGWeights(huge), tmp_path / "huge.mat")
    assert stylize(tiny, tmp_path / "out.png", "--weights", tmp_path / "huge.mat") == 1
    assert "Expected finite costs" in capsys.readouterr().err
    assert read_image(tmp_path / "out.png").shape == (24, 32, 3)


def test_iterations_must_be_positive(tiny, tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        stylize(tiny, tmp_path / "out.png", "--iterations", "0")
    assert "at least 1, found 0" in capsys.readouterr().err


@pytest.mark.parametrize("options, size", [([], (300, 400)), (["--preset", "course", "--size", "80"], (60, 80))])
def test_demo(tmp_path, tiny, capfd, monkeypatch, options, size):
    calls, run = [], eager.stylize
    monkeypatch.setattr(eager, "stylize", lambda *args, **kwargs: calls.append(args) or run(*args, **kwargs))
    output = tmp_path / "demo.jpg"
    words = ["demo", "-o", output, "--iterations", "2", "--weights", tiny / "tiny.mat", *options]
    assert cli.main([str(word) for word in words]) == 0
    printed = capfd.readouterr().out
    assert "ok   J_content" in printed and "OFF" not in printed
    assert read_image(output).shape == (*size, 3)
    assert calls[0][2].start == PRESETS["course" if options else "fast"].start


def test_check(capsys):
    assert cli.main(["check"]) == 0
    printed = capsys.readouterr().out
    for number in ("6.7655926", "9.190278", "35.34667875478276", "19.465837"):
        assert number in printed
    assert "Not checked: iteration 0" in printed


def test_check_fails_when_a_value_is_off(capsys, monkeypatch):
    wrong = EXPECTED[0]._replace(value=(6.8,))
    monkeypatch.setattr("nst_course.expected.EXPECTED", (wrong, *EXPECTED[1:4]))
    assert cli.main(["check"]) == 1
    assert "OFF  J_content" in capsys.readouterr().out


def test_inspect(tiny, capsys):
    assert cli.main(["weights", "inspect", str(tiny / "tiny.mat")]) == 0
    printed = capsys.readouterr().out
    assert "VGG-19" in printed and "not one of the published files" in printed
    assert "conv1_1  kernel 3x3x3x2  bias 2" in printed
    assert "conv5_4" in printed and "sha256:" in printed and "md5:" in printed


def test_inspect_knows_the_published_files(tiny, capsys, monkeypatch):
    published = "sha256:abdb57167f82a2a1fbab1e1c16ad9373411883f262a1a37ee5db2e6fb0044695"
    monkeypatch.setattr("nst_course.weights.download.checksums", lambda path: (published,))
    assert cli.main(["weights", "inspect", str(tiny / "tiny.mat")]) == 0
    assert "This is the published imagenet-vgg-verydeep-19.mat" in capsys.readouterr().out


def test_download_without_a_network(tmp_path, capsys, monkeypatch):
    from nst_course.weights import download

    # Port 9 of this machine: nothing listens there, so the connection is refused at once.
    source = download.SOURCES["keras"]
    here = download.Source(source.file, "http://127.0.0.1:9/x.h5", source.hash, source.n_bytes)
    monkeypatch.setitem(download.SOURCES, "keras", here)
    assert cli.main(["weights", "download", "--source", "keras", "--folder", str(tmp_path)]) == 1
    captured = capsys.readouterr()
    assert "80 MB" in captured.out
    assert "the host cannot be reached" in captured.err
    assert list(tmp_path.iterdir()) == []


def test_download_of_the_style_models_without_a_network(tmp_path, capsys, monkeypatch):
    from nst_course.weights import download

    here = [download.Source(m.file, "http://127.0.0.1:9/x", m.hash, m.n_bytes) for m in download.STYLE_MODELS]
    monkeypatch.setattr(download, "STYLE_MODELS", here)
    assert cli.main(["weights", "download", "--source", "arbitrary", "--folder", str(tmp_path)]) == 1
    captured = capsys.readouterr()
    assert "style_transfer_quantized_dynamic.tflite, 3 MB" in captured.out
    assert "the host cannot be reached" in captured.err


@pytest.mark.parametrize("words", [["--", "--no-browser"], ["--no-browser"]])
def test_jupyterlab_opens_at_the_project_with_the_first_notebook(words, monkeypatch):
    calls = []
    monkeypatch.setattr("subprocess.call", lambda words: calls.append(words) or 0)
    assert cli.main(["notebook", *words]) == 0
    *command, root, first, option = calls[0]
    assert "jupyterlab" in command and option == "--no-browser"
    root, first = root.partition("root_dir=")[2], first.partition("default_url=/lab/tree/")[2]
    assert (pathlib.Path(root) / first).is_file() and (pathlib.Path(root) / "images").is_dir()


def test_notebooks_are_opened_in_a_copy(tmp_path, monkeypatch, capsys):
    calls = []
    monkeypatch.setattr("subprocess.call", lambda words: calls.append(words) or 0)
    assert cli.main(["notebook", "--copy", str(tmp_path / "mine"), "--no-browser"]) == 0
    *_, root, first, _ = calls[0]
    assert root.endswith(str(tmp_path / "mine")) and (tmp_path / "mine" / first.partition("/lab/tree/")[2]).is_file()
    (tmp_path / "mine" / "01_art_generation.ipynb").write_text("my own work")
    assert cli.main(["notebook", "--copy", str(tmp_path / "mine")]) == 0
    assert "copied: 0; left as you have them: 1" in capsys.readouterr().out
    assert (tmp_path / "mine" / "01_art_generation.ipynb").read_text() == "my own work"


def test_a_copy_needs_a_folder(capsys):
    assert cli.main(["notebook", "--copy", ""]) == 1
    assert "Expected a folder behind --copy" in capsys.readouterr().err


def test_installed_from_a_wheel_the_notebooks_need_a_folder(monkeypatch, capsys):
    monkeypatch.setattr("nst_course.weights.folders.in_checkout", lambda: False)
    assert cli.main(["notebook"]) == 1
    assert "notebook --copy DIR" in capsys.readouterr().err


def test_the_shell_is_told_what_could_come_next(tmp_path):
    line = "nst-course stylize --pre"
    asked = {"_ARGCOMPLETE": "1", "COMP_LINE": line, "COMP_POINT": str(len(line)), "_ARGCOMPLETE_SHELL": "bash"}
    told = {"_ARGCOMPLETE_STDOUT_FILENAME": str(tmp_path / "out"), "_ARGCOMPLETE_SUPPRESS_SPACE": "0"}
    command = [sys.executable, "-m", "nst_course"]
    subprocess.run(command, env={**os.environ, **asked, **told}, check=True, capture_output=True)
    assert (tmp_path / "out").read_text().strip() == "--preset"


# --- as people type it ------------------------------------------------------------------------------------------------


def test_bare_it_lists_the_verbs(capsys):
    assert cli.main([]) == 0
    out = capsys.readouterr().out
    assert "stylize" in out and "paint:" in out


def test_python_m():
    found = subprocess.run(
        [sys.executable, "-m", "nst_course", "--version"], capture_output=True, text=True, check=True
    )
    assert found.stdout.startswith("nst-course ")


@pytest.mark.parametrize(
    "words, sentence",
    [
        (["stylze"], "Did you mean stylize?"),
        (["stylize", "a", "b", "-o", "c", "--iterations", "x"], "expected a whole number, found 'x'"),
        (["stylize", "a", "b", "-o", "c", "--seed", "-1"], "expected 0 to 4294967295, found -1"),
        (["stylize", "a", "b", "-o", "c", "--foo"], "unrecognized arguments: --foo"),
    ],
)
def test_mistyped_words(words, sentence, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(words)
    assert ended.value.code == 2 and sentence in capsys.readouterr().err


@pytest.mark.parametrize(
    "picture, options, sentence",
    [
        ("https://example.org/me.jpg", [], "Addresses are not fetched"),
        ("~/me.jpg", [], "In quotes ~ stands for itself"),
        ("images/glass_pyramid.png", ["--start", "nois"], "--start takes content"),
    ],
)
def test_pictures_that_are_none(picture, options, sentence, tmp_path, capsys, request, monkeypatch):
    monkeypatch.chdir(request.config.rootpath)
    words = ["stylize", picture, "images/brush_strokes.png", "-o", str(tmp_path / "x.png"), *options]
    assert cli.main(words) == 1 and sentence in capsys.readouterr().err


def test_our_own_files_are_known(request, capsys):
    folder = request.config.rootpath / "pretrained-model"
    assert cli.main(["weights", "inspect", str(folder / "sketch.npz")]) == 0
    assert cli.main(["weights", "inspect", str(folder / "styles" / "woodcut-wave.npz")]) == 0
    out = capsys.readouterr().out
    assert "the sketch of VGG-19" in out and "trained on woodcut_wave.png" in out
