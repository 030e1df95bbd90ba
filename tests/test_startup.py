"""TensorFlow without its notes, in processes of their own: a note comes once in a process."""

import os
import subprocess
import sys


def run(code, **variables):
    environment = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment | variables)


def test_the_notes_are_held_back():
    started = run(
        "import os; from nst_course import start_tensorflow; start_tensorflow(); start_tensorflow()\n"
        "import tensorflow as tf; print(int(tf.constant(1) + 1)); os.write(2, b'kept')"
    )
    assert (started.returncode, started.stdout, started.stderr) == (0, "2\n", "kept")


def test_what_is_said_of_a_failure_is_not_held_back(tmp_path):
    (tmp_path / "tensorflow.py").write_text("import os; os.write(2, b'the reason\\n'); raise ImportError('broken')")
    started = run("from nst_course import start_tensorflow; start_tensorflow()", PYTHONPATH=str(tmp_path))
    assert started.returncode == 1
    assert "the reason\n" in started.stderr and "ImportError: broken" in started.stderr


def test_graph_mode_can_be_chosen_afterwards():
    started = run(
        "from nst_course import start_tensorflow; start_tensorflow(); import tensorflow.compat.v1 as tf\n"
        "tf.disable_eager_execution(); tf.Session().close(); print(tf.executing_eagerly())"
    )
    assert (started.returncode, started.stdout) == (0, "False\n"), started.stderr
