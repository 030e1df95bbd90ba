"""What is printed does no harm, and streams that are closed, full or read no further do not end a command."""

import ast
import io
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

import nst_course
from nst_course import VGGWeights, cli, save_image, write_mat

COMMAND = [sys.executable, "-c", "import sys; from nst_course import cli; sys.exit(cli.main(sys.argv[1:]))"]
FOLDER = pathlib.Path(nst_course.__file__).parent / "cli"

shell = pytest.mark.skipif(os.name == "nt", reason="the streams of a POSIX shell")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A folder with a tiny network, whose description is hostile, and two pictures."""
    folder = tmp_path_factory.mktemp("tiny")
    random = VGGWeights.random(widths=(2, 3, 4, 4, 4))
    write_mat(VGGWeights(random.parameters, description="\x1b[31mred\nok   J_content"), folder / "tiny.mat")
    for name, size in (("content", (24, 32, 3)), ("style", (20, 20, 3))):
        save_image(folder / f"{name}.png", np.random.RandomState(0).randint(0, 256, size).astype(np.uint8))
    return folder


def in_shell(words, redirection):
    """Run the command in a shell; return its exit status, and what it printed."""
    line = f'"$@" {redirection}'
    done = subprocess.run(["bash", "-c", line, "bash", *COMMAND, *map(str, words)], capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.stem)
def test_all_that_is_printed_goes_through_one_function(path):
    calls = [node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    printing = [f for f in calls if isinstance(f, ast.Name) and f.id == "print"]
    writing = [f for f in calls if isinstance(f, ast.Attribute) and ast.unparse(f).startswith(("sys.std", "os.write"))]
    assert len(printing) == (2 if path.stem == "terminal" else 0)
    assert all(f.attr in ("flush", "reconfigure") for f in writing)


def test_text_from_a_file_gives_the_terminal_no_orders(tiny, capsys):
    assert cli.main(["weights", "inspect", str(tiny / "tiny.mat")]) == 0
    printed = capsys.readouterr().out
    assert r"\x1b[31mred" in printed and "\x1b" not in printed
    assert not any(line.startswith("ok ") for line in printed.splitlines())


def test_nor_does_the_name_of_a_file(tmp_path, capsys):
    assert cli.main(["weights", "inspect", str(tmp_path / "\x1b[2J\n\udcff.mat")]) == 1
    error = capsys.readouterr().err
    assert r"\x1b[2J\n\udcff.mat" in error and error.count("\n") == 1


@shell
@pytest.mark.parametrize("words", [["-h"], ["weights", "inspect", "{}/tiny.mat"]])
def test_a_reader_that_has_read_enough_ends_the_command_quietly(tiny, words, monkeypatch):
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)  # argparse itself says nothing of an error it gets at once
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer) as output:
        words = [*COMMAND, *(word.format(tiny) for word in words)]
        done = subprocess.run(words, stdout=output, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (141, "")  # as of a process that SIGPIPE ended


@shell
@pytest.mark.skipif(not pathlib.Path("/dev/full").exists(), reason="the system has no full device")
def test_a_full_disk_behind_the_output_is_one_sentence(tiny):
    status, _, error = in_shell(["weights", "inspect", tiny / "tiny.mat"], "> /dev/full")
    assert status == 1 and error.startswith("nst-course: ") and error.count("\n") == 1 and "No space" in error


@shell
def test_closed_streams_do_not_end_a_run(tiny, tmp_path):
    words = ["stylize", tiny / "content.png", tiny / "style.png", "-o", tmp_path / "out.png"]
    words += ["--weights", tiny / "tiny.mat", "--iterations", "1", "--preset", "course"]
    assert in_shell(words, "<&- >&- 2>&-") == (0, "", "")
    assert os.listdir(tmp_path) == ["out.png"]


@shell
def test_nor_does_an_error_stream_that_nobody_reads(tiny, tmp_path, monkeypatch):
    reader, writer = os.pipe()
    os.close(reader)
    words = ["stylize", tiny / "content.png", tiny / "style.png", "-o", tmp_path / "out.png"]
    words += ["--weights", tiny / "tiny.mat", "--iterations", "3", "--preset", "course"]
    with open(writer, "w", buffering=1) as stream, monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", stream)
        assert cli.main([str(word) for word in words]) == 0
    assert os.listdir(tmp_path) == ["out.png"]


def test_what_an_encoding_lacks_is_printed_as_an_escape(tiny, monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), "latin-1")
    monkeypatch.setattr(sys, "stdout", stream)
    file = (tiny / "tiny.mat").rename(tiny / "été 画像.mat")
    try:
        assert cli.main(["weights", "inspect", str(file)]) == 0
    finally:
        file.rename(tiny / "tiny.mat")
    assert rb"/" + "été ".encode("latin-1") + rb"\u753b\u50cf.mat: " in stream.buffer.getvalue()


def test_help_in_a_closed_stream_is_no_error(monkeypatch):
    stream = io.StringIO()
    stream.close()
    monkeypatch.setattr(sys, "stderr", stream)
    assert cli.main(["weights", "inspect", "no such file.mat"]) == 1
