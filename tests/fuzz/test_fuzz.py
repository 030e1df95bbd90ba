"""Damaged files of every kind: no signal, no gigabyte, no twenty seconds, no error that is not documented."""

import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent.parent

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="limits of processes are POSIX'")


def fuzz(*words):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]), "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-m", "tests.fuzz", *map(str, words)]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)


def test_2000_damaged_files_of_each_kind_are_read_or_refused():
    done = fuzz()
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) >= 15 and all("2,000 inputs, 0 failures" in line for line in lines), done.stdout
