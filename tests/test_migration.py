import contextlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from nst_course import NotebookError, cli, migrate, run_notebook
from nst_course.migration import reading
from nst_course.migration.running import STAND_IN

HELPER = "from nst_course.nst_utils import *"
NAMES = "import nst_course.nst_utils"


def code(source, printed="", error=None):
    outputs = [new_output("stream", name="stdout", text=printed)] if printed else []
    if error:
        outputs.append(new_output("error", ename=error, evalue="", traceback=[]))
    return new_code_cell(source, outputs=outputs)


def write(path, *cells, **metadata):
    nbformat.write(new_notebook(cells=list(cells), metadata=metadata), path)
    return path


def sources(path):
    return [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


def migrated(tmp_path, *cells, **metadata):
    old = write(tmp_path / "old.ipynb", *map(code, cells), **metadata)
    before = old.read_bytes()
    new, edits = migrate(old)
    assert old.read_bytes() == before
    assert new == tmp_path / "old-migrated.ipynb"
    nbformat.validate(nbformat.read(new, as_version=4))
    return sources(new), edits


#: A copy as they lie about, in our own words: what it prints was published with the course, and in copies of it.
COPY = [
    new_markdown_cell("# Deep Learning & Art"),
    code("!pip install tensorflow==1.2.1\n%matplotlib inline", "Collecting tensorflow==1.2.1"),
    code(
        "from __future__ import division\nimport scipy.io\nimport scipy.misc\nimport matplotlib.pyplot as plt\n"
        "from nst_utils import *\nimport tensorflow as tf"
    ),
    code('model = load_vgg_model("pretrained-model/imagenet-vgg-verydeep-19.mat")\nprint(sorted(model)[:2])'),
    code(
        'content_image = scipy.misc.imread("images/louvre.jpg")\nimshow(content_image)\nprint content_image.shape\n'
        'plt.imsave("output/own.png", content_image)'
    ),
    code(
        "def compute_content_cost(a_C, a_G):\n    m, n_H, n_W, n_C = a_G.get_shape().as_list()\n"
        "    return tf.reduce_sum(tf.squared_difference(a_C, a_G)) / tf.to_float(4 * n_H * n_W * n_C)"
    ),
    code(
        "tf.reset_default_graph()\nwith tf.Session() as test:\n    tf.set_random_seed(1)\n"
        "    a_C = tf.random_normal([1, 4, 4, 3], mean=1, stddev=4)\n"
        "    a_G = tf.random_normal([1, 4, 4, 3], mean=1, stddev=4)\n"
        '    print "J_content = " + str(compute_content_cost(a_C, a_G).eval())',
        "J_content = 6.76559\n",
    ),
    code("def gram_matrix(A):\n    return tf.matmul(A, tf.transpose(A))"),
    code(
        "tf.reset_default_graph()\nwith tf.Session() as test:\n    tf.set_random_seed(1)\n"
        "    A = tf.random_normal([3, 2*1], mean=1, stddev=4)\n    GA = gram_matrix(A)\n"
        '    print("GA = " + str(GA.eval()))',
        "GA = [[  6.42230511  -4.42912197  -2.09668207]\n [ -4.42912197  19.46583748  19.56387138]\n"
        " [ -2.09668207  19.56387138  20.6864624 ]]\n",
    ),
    code(
        "def compute_layer_style_cost(a_S, a_G):\n    _, n_H, n_W, n_C = [d.value for d in a_G.get_shape()]\n"
        "    a_S, a_G = [tf.transpose(tf.reshape(a, [n_H * n_W, n_C])) for a in (a_S, a_G)]\n"
        "    difference = tf.square(gram_matrix(a_S) - gram_matrix(a_G))\n"
        "    return tf.reduce_sum(difference, reduction_indices=[0, 1]) / (4 * n_C**2 * (n_H * n_W)**2)"
    ),
    code(
        "tf.reset_default_graph()\nwith tf.Session() as test:\n    tf.set_random_seed(1)\n"
        "    a_S = tf.random_normal([1, 4, 4, 3], mean=1, stddev=4)\n"
        "    a_G = tf.random_normal([1, 4, 4, 3], mean=1, stddev=4)\n"
        '    print("J_style_layer = " + str(compute_layer_style_cost(a_S, a_G).eval()))',
        "J_style_layer = 9.19028\n",
    ),
    code(
        "def total_cost(J_content, J_style, alpha=10, beta=40):\n    return alpha * J_content + beta * J_style\n"
        "np.random.seed(3)\nJ_content = np.random.randn()\nJ_style = np.random.randn()\n"
        'print "J = " + str(total_cost(J_content, J_style))',
        "J = 35.3466787548\n",
    ),
    code(
        "tf.reset_default_graph()\nsess = tf.InteractiveSession()\n"
        'content = reshape_and_normalize_image(scipy.misc.imread("images/louvre_small.jpg"))\n'
        'style = reshape_and_normalize_image(scipy.misc.imread("images/monet.jpg"))\n'
        "generated_image = generate_noise_image(content)\nmodel = load_vgg_model(CONFIG.VGG_MODEL)"
    ),
    code(
        "sess.run(model['input'].assign(content))\n"
        "J_content = compute_content_cost(sess.run(model['conv4_2']), model['conv4_2'])\n"
        "sess.run(model['input'].assign(style))\n"
        "J_style = compute_layer_style_cost(sess.run(model['conv1_1']), model['conv1_1'])\n"
        "J = total_cost(J_content, J_style)\ntrain_step = tf.train.AdamOptimizer(2.0).minimize(J)"
    ),
    code(
        "sess.run(tf.initialize_all_variables())\nsess.run(model['input'].assign(generated_image))\n"
        "costs = []\nfor i in xrange(3):\n    sess.run(train_step)\n    costs.append(sess.run(J))\n"
        "print('Iteration 0 :')\nprint('total cost = ' + str(costs[0]))\n"
        "save_image('output/generated_image.jpg', sess.run(model['input']))\nassert costs[2] < costs[1] < costs[0]",
        "Iteration 0 :\ntotal cost = 5.05035e+09\n",
    ),
    code("unfinished", error="NameError"),
]


@pytest.fixture(scope="module")
def rerun(tmp_path_factory):
    """The copy, migrated and run by the command, once: TensorFlow takes long to start."""
    old = tmp_path_factory.mktemp("copy") / "Art Generation - v2.ipynb"
    write(old, *COPY, kernelspec={"name": "python2", "display_name": "Python 2", "language": "python"})
    before = old.read_bytes()
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = cli.main(["migrate", str(old), "--run"])
    assert old.read_bytes() == before
    return status, out.getvalue(), err.getvalue(), old.with_name("Art Generation - v2-migrated.ipynb")


def test_a_copy_runs_to_its_end(rerun):
    status, out, err, new = rerun
    assert (status, err) == (0, "")
    assert (new.parent / "output" / "generated_image.jpg").is_file()
    errors = [
        (output.ename, output.evalue)
        for cell in nbformat.read(new, as_version=4).cells
        for output in cell.get("outputs", ())
        if output.output_type == "error"
    ]
    assert errors == [("NameError", "name 'unfinished' is not defined")]


@pytest.mark.parametrize("line", ["6: 1 of 1", "8: 9 of 9", "10: 1 of 1", "11: 1 of 1"])
def test_the_saved_numbers_come_out_again(rerun, line):
    assert f"\ncode cell {line}\n" in rerun[1]


def test_the_command_says_what_it_did(rerun):
    lines = rerun[1].splitlines()
    assert f"code cell 2: from nst_utils import *  ->  {HELPER}" in lines
    assert "code cell 1: !pip install tensorflow==1.2.1  ->  # !pip install tensorflow==1.2.1" in lines
    assert "the notebook: kernel python2  ->  kernel python3" in lines
    # The costs of the run are those of other weights and pictures, and it says so.
    assert "Saved numbers that came out again: 12 of 13" in lines
    assert "code cell 14: 0 of 1; others than 5.05035e+09" in lines
    assert sum(line.startswith(STAND_IN) for line in lines) == 4


@pytest.mark.parametrize(
    "cell, expected",
    [
        ("from nst_utils import *", HELPER),
        ("x = 1\n  \nfrom  nst_utils import CONFIG", "x = 1\n  \nfrom nst_course.nst_utils import CONFIG"),
        ("import nst_utils", "import nst_course.nst_utils as nst_utils"),
        ("import nst_utils as u", "import nst_course.nst_utils as u"),
        ("from course.nst_utils import *", HELPER),
        ("# from nst_utils import *", "# from nst_utils import *"),
        ("from nst_course.nst_utils import *", HELPER),
        # Names that have gone are used before the helper is imported, or without it.
        ("import scipy.misc\nfrom nst_utils import *", f"{NAMES}\nimport scipy.misc\n{HELPER}"),
        ("import tensorflow as tf\nfrom nst_utils import *", f"import tensorflow as tf\n{HELPER}"),
        ("import tensorflow as tf\ntf.Session()", f"{NAMES}\nimport tensorflow as tf\ntf.Session()"),
        ("%%time\nsess = tf.Session()", f"%%time\n{NAMES}\nsess = tf.Session()"),
        ("# old\nfrom __future__ import division\ntf.to_float(1)", None),
        # What installs or fetches.
        ("!pip install \\\n  tensorflow==1.2\nx = 1", "# !pip install \\\n#   tensorflow==1.2\nx = 1"),
        ("if True:\n    !wget http://x/y.mat", "if True:\n    pass  # !wget http://x/y.mat"),
        ("%tensorflow_version 1.x", "# %tensorflow_version 1.x"),
        ("from google.colab import drive\ndrive.mount('/d')", "# from google.colab import drive\n# drive.mount('/d')"),
        ("up = files.upload()\nfiles.download('a')", "up = {}  # up = files.upload()\n# files.download('a')"),
        ("!ls images\n%cd ..\nx = !ls\nlen?", "!ls images\n%cd ..\nx = !ls\nlen?"),
        # Python 2.
        ("print 'a', 1\nprint", "print('a', 1)\nprint"),
        ("for i in xrange(2):\n    print i,", 'for i in range(2):\n    print(i, end=" ")'),
        ("print ('a')\nprint('b')\nxrange = 3", "print ('a')\nprint('b')\nxrange = 3"),
        ("s = '''\nprint x\n'''", "s = '''\nprint x\n'''"),
        ("%%bash\nprint x", "%%bash\nprint x"),
        # Notebooks of TensorFlow 2 keep eager mode and their own helper file.
        (
            "import scipy.misc\nfrom nst_utils import *\nwith tf.GradientTape() as tape:\n    pass",
            "# import scipy.misc\nfrom nst_utils import *\nwith tf.GradientTape() as tape:\n    pass",
        ),
        ("x = tf.constant(1.0)  # no tf.Session()", "x = tf.constant(1.0)  # no tf.Session()"),
    ],
)
def test_edits(tmp_path, cell, expected):
    if expected is None:
        expected = f"# old\nfrom __future__ import division\n{NAMES}\ntf.to_float(1)"
    (source,), edits = migrated(tmp_path, cell)
    assert source == expected
    assert bool(edits) == (source != cell)
    assert all(edit.cell == 1 and edit.why for edit in edits)


@pytest.mark.parametrize(
    "own, line",
    [("", HELPER), ("def load_vgg_model(path):\n    pass\n", "from my_functions import *")],
)
def test_a_helper_file_by_another_name(tmp_path, own, line):
    cell = f"from math import *\nfrom my_functions import *\n{own}model = load_vgg_model(path)\nsess = tf.Session()"
    (source,), _ = migrated(tmp_path, cell)
    assert source.removeprefix(f"{NAMES}\n") == cell.replace("from my_functions import *", line)


def test_names_are_imported_where_they_are_first_used(tmp_path):
    cells, edits = migrated(tmp_path, "x = 1", "import scipy.misc", "from nst_utils import *", "tf.Session()")
    assert cells == ["x = 1", f"{NAMES}\nimport scipy.misc", HELPER, "tf.Session()"]
    assert [edit.cell for edit in edits] == [2, 3]


@pytest.mark.parametrize(
    "cell, line",
    [
        ("print 'a'\nprint >>f, 'b'\nraise ValueError, 'c'", "print 'a'"),
        ("from nst_course.nst_utils import *\nsess = tf.Session()\ny = tf.contrib.f(x)", "y = tf.contrib.f(x)"),
    ],
)
def test_what_cannot_be_edited_is_left_and_said(tmp_path, cell, line):
    (source,), edits = migrated(tmp_path, cell)
    assert source.endswith(cell)
    assert [edit.before for edit in edits if not edit.after] == [line]


def test_kernels(tmp_path):
    migrated(tmp_path, "1", kernelspec={"name": "conda-env-tf1-py", "display_name": "tf1", "language": "python"})
    assert nbformat.read(tmp_path / "old-migrated.ipynb", as_version=4).metadata.kernelspec.name == "python3"
    assert migrated(tmp_path, "1", kernelspec={"name": "python3", "display_name": "Python 3"})[1] == []
    assert migrated(tmp_path, "1")[1] == []


def test_version_3_of_the_format(tmp_path):
    cell = {"cell_type": "code", "language": "python", "input": ["from nst_utils import *\n", "x"], "outputs": []}
    title = {"cell_type": "heading", "level": 1, "source": ["Art"]}
    old = tmp_path / "old.ipynb"
    notebook = {"nbformat": 3, "nbformat_minor": 0, "metadata": {}, "worksheets": [{"cells": [title, cell]}]}
    old.write_text(json.dumps(notebook))
    new, edits = migrate(old, tmp_path / "folder" / "new.ipynb")
    assert sources(new) == [HELPER + "\nx"]
    assert edits[0].before == "format version 3"
    assert json.loads(new.read_text())["nbformat"] == 4


def test_a_copy_that_strays_from_the_schema_is_taken(tmp_path):
    # As Jupyter does, which opens it all the same.
    cell = {"cell_type": "code", "metadata": {}, "source": ["1"], "outputs": [], "execution_count": None, "odd": 1}
    old = tmp_path / "old.ipynb"
    old.write_text("\ufeff" + json.dumps({"nbformat": 4, "nbformat_minor": 1, "metadata": {}, "cells": [cell]}))
    assert migrate(old)[1] == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no JSON",
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b"[]",
        b"{}",
        b'{"nbformat": 9, "nbformat_minor": 0, "metadata": {}, "cells": []}',
        b'{"nbformat": "4", "nbformat_minor": 0, "metadata": {}, "cells": []}',
        b'{"nbformat": 4, "nbformat_minor": 1, "metadata": {}}',
        b'{"nbformat": 4, "nbformat_minor": 1, "metadata": {}, "cells": [{"cell_type": "code"}]}',
        b'{"nbformat": 4, "nbformat_minor": 1, "metadata": {}, "cells": [{"cell_type": "code", "source": 3}]}',
        b'{"nbformat": 4, "nbformat_minor": 1, "metadata": [], "cells": []}',
        b'{"nbformat": 3, "nbformat_minor": 0, "metadata": {}, "worksheets": 5}',
        b'{"nbformat": 4, "nbformat_minor": 2, "metadata": {"kernelspec": {"name": "ir", "display_name": "R", '
        b'"language": "R"}}, "cells": []}',
    ],
)
def test_what_is_no_notebook(tmp_path, content):
    old = tmp_path / "old.ipynb"
    old.write_bytes(content)
    with pytest.raises(NotebookError, match="Expected a"):
        migrate(old)
    assert [path.name for path in tmp_path.iterdir()] == ["old.ipynb"]


def test_a_truncated_copy(tmp_path):
    old = write(tmp_path / "old.ipynb", *COPY)
    old.write_bytes(old.read_bytes()[:-500])
    with pytest.raises(NotebookError, match="none, or damaged"):
        migrate(old)


def test_a_copy_that_is_too_large(tmp_path, monkeypatch):
    old = write(tmp_path / "old.ipynb", *COPY)
    monkeypatch.setattr(reading, "MAX_BYTES", old.stat().st_size - 1)
    with pytest.raises(NotebookError, match="at most"):
        migrate(old)
    monkeypatch.setattr(reading, "MAX_BYTES", old.stat().st_size)
    migrate(old)


def test_hostile_sources_take_no_time(tmp_path):
    nested = "x = " + "(" * 5000
    spaces = "print 1" + " " * 90_000 + "\\"
    cells, edits = migrated(tmp_path, nested, spaces, "print x" * 90_000)
    assert cells[0] == nested
    assert [edit.after for edit in edits] == ["", ""]


@pytest.mark.parametrize(
    "cells",
    [
        ["\n" * 200_000, "model = load_vgg_model(path)"],
        ["from \t" * 150_000 + " load_vgg_model("],
        ["print " + "\t" * 90_000 + "("],
        ["!" + " " * 400_000 + "sudo" + " " * 400_000],
        ["from" + " " * 900_000 + "scipy"],
        ["a" * 900_000 + " ="],
        ["tf.train." * 100_000],
        ["from math import *\n" * 40_000 + "load_vgg_model("],
    ],
    ids=lambda cells: ascii(cells[0][:12]),
)
def test_every_pattern_takes_time_by_the_length_of_the_text(tmp_path, cells):
    # Where it took the square of it, this would take minutes and more.
    assert "".join(migrated(tmp_path, *cells)[0]) == "".join(cells)


BOUNDED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))
from nst_course import migrate
print([len(migrate(path)[1]) for path in sys.argv[1:]])
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such limit")
def test_code_that_python_takes_much_memory_for(tmp_path):
    chain = "a." * 40_000 + "a"  # 1.7 GB in Python 3.11
    hostile = [
        f"import {chain}",
        f"from {chain} import b",
        "x = 1; import " + chain.replace(".", ".\\\n"),
        "[" + "a," * 49_000 + "a b]",
    ]
    paths = [write(tmp_path / f"{n}.ipynb", code(source)) for n, source in enumerate(hostile)]
    done = subprocess.run([sys.executable, "-c", BOUNDED, *map(str, paths)], capture_output=True, text=True)
    # Names that long are not looked at; of the list is said that it is not Python, and not that memory ran out.
    assert (done.returncode, done.stdout, done.stderr) == (0, "[0, 0, 0, 1]\n", "")


def document(*cells, metadata="{}"):
    return f'{{"nbformat": 4, "nbformat_minor": 4, "metadata": {metadata}, "cells": [{", ".join(cells)}]}}'


@pytest.mark.parametrize(
    "content, message",
    [
        (document(*['{"cell_type": "markdown", "source": ""}'] * 10_001), "at most 10,000 cells; .* has 10,001. Split"),
        (document(metadata='{"a": [' + "{}," * 500_000 + "{}]}"), "brackets, commas and escapes; .*Clear its outputs"),
        (
            document('{"cell_type": "code", "source": "' + "a" * 1_000_001 + '"}'),
            "at most 1,000,000 characters of code",
        ),
        (document(metadata='{"a": ' + "1" * 1001 + "}"), "1,001 digits"),
        (document(metadata='{"a": ' + "[" * 5000 + "]" * 5000 + "}"), "recursion"),
        (document(metadata='{"kernelspec": {"name": 3, "display_name": "", "language": ["R"]}}'), "Expected a"),
    ],
    ids=["cells", "objects", "code", "digits", "nesting", "kernel"],
)
def test_what_would_take_too_much_time_or_memory_is_refused(tmp_path, content, message):
    (tmp_path / "old.ipynb").write_text(content)
    with pytest.raises(NotebookError, match=message):
        migrate(tmp_path / "old.ipynb")
    assert os.listdir(tmp_path) == ["old.ipynb"]


def test_half_a_character(tmp_path):
    """Kept where nothing reads it; in code, which Python would not read, it is replaced and said."""
    old = tmp_path / "old.ipynb"
    output = r'{"output_type": "stream", "name": "stdout", "text": "\ud83d"}'
    cell = rf'{{"cell_type": "code", "source": "x = 1  # \ude00\nxrange", "outputs": [{output}]}}'
    old.write_text(document(cell, r'{"cell_type": "markdown", "source": "\udcff"}'))
    new, edits = migrate(old)
    assert [(edit.before, edit.after) for edit in edits] == [
        ("x = 1  # \ude00", "x = 1  # \ufffd"),
        ("xrange", "range"),
    ]
    cells = json.loads(new.read_text("utf-8"))["cells"]
    assert "".join(cells[0]["outputs"][0]["text"]) == "\ud83d" and "".join(cells[1]["source"]) == "\udcff"
    compile("".join(cells[0]["source"]), "cell", "exec")


@pytest.mark.parametrize("version", [3, 4])
def test_what_stripped_copies_leave_out_is_put_in(tmp_path, version):
    if version == 4:
        shown = '{"output_type": "execute_result", "data": {"text/plain": "1.5"}}'
        outputs = f'[{shown}, {{"output_type": "display_data"}}, {{"output_type": "stream", "text": "a"}}]'
        cells = [
            f'{{"cell_type": "code", "source": "1.5", "outputs": {outputs}}}',
            '{"cell_type": "code", "source": "2"}',
        ]
        content = document(*cells, '{"cell_type": "markdown", "source": "a"}').replace('"metadata": {}, ', "")
    else:
        cells = '{"cell_type": "code", "input": "1.5"}, {"cell_type": "code", "input": "2", "outputs": []}'
        content = f'{{"nbformat": 3, "nbformat_minor": 0, "worksheets": [{{"cells": [{cells}]}}]}}'
    (tmp_path / "old.ipynb").write_text(content)
    new, edits = migrate(tmp_path / "old.ipynb")
    assert len(edits) == (version == 3) and sources(new) == ["1.5", "2"]
    nbformat.validate(nbformat.read(new, as_version=4))


def test_a_console_of_another_encoding_does_not_end_the_command(tmp_path):
    old = write(
        tmp_path / "old.ipynb", code("!pip install x  # \u5b89\u88c5\nprint('\u98ce\u683c', 1.5)  # \u753b", "1.5\n")
    )
    command = "import sys; from nst_course import cli; sys.exit(cli.main(sys.argv[1:]))"
    console = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}
    words = [sys.executable, "-c", command, "migrate", str(old), "--run"]
    done = subprocess.run(words, capture_output=True, env=console)
    assert (done.returncode, done.stderr) == (0, b"")
    assert rb"!pip install x  # \u5b89\u88c5  ->" in done.stdout and b"came out again: 1 of 1" in done.stdout
    (cell,) = nbformat.read(tmp_path / "old-migrated.ipynb", as_version=4).cells
    assert cell.outputs[0].text == "\u98ce\u683c 1.5\n"


def test_the_old_notebook_is_never_written_over(tmp_path, capsys):
    old = write(tmp_path / "old.ipynb", code("from nst_utils import *"))
    before = old.read_bytes()
    os.link(old, tmp_path / "link.ipynb")
    for name in ("old.ipynb", "link.ipynb", "nst_utils.py"):
        assert cli.main(["migrate", str(old), "-o", str(tmp_path / name)]) == 1
        assert capsys.readouterr().err.startswith("nst-course: Expected ")
    assert old.read_bytes() == before
    assert cli.main(["migrate", str(tmp_path / "none.ipynb")]) == 1
    assert "there is none at" in capsys.readouterr().err


def test_nothing_is_run_unless_asked(tmp_path, capsys):
    old = write(tmp_path / "old.ipynb", code(f"open({str(tmp_path / 'trace')!r}, 'w')"))
    assert cli.main(["migrate", str(old)]) == 0
    assert not (tmp_path / "trace").exists()
    assert "Edits: 0." in capsys.readouterr().out


# (saved, printed now, how many of the saved numbers came out again)
NUMBERS = [
    ("6.76559", "6.7655926", 1),
    ("6.76559", "6.7656100", 0),
    ("[[ 6.42230511 -4.42912197]]", "[[ 6.4223056 -4.429122 ]]", 2),
    ("6.42230511", "np.float32(6.4223056)", 1),
    ("35.34667875478276", "35.34667875478277", 1),
    ("35.34667875478276", "35.34667875478000", 0),
    ("35.3466787548", "35.34667875478276", 1),
    ("5.05035e+09", "5050350000.0", 1),
    ("5.05035e+09", "5060000000.0", 0),
    ("Iteration 0 :\ntotal cost = 5.05035e+09", "Iteration 0 :\ntotal cost = 5060000000.0", 1),
    ("1.5 2.5 3.5", "noted\n1.5 3.5", 2),
    ("J = nan", "J = 1.5", 0),
    ("1.0e400", "1.0", 0),
    ("<at 0x1.5p3> conv4_2 (1, 300, 400, 3) v1.2.3", "", 0),
]


# nbclient calls it where a cell takes too long.
@pytest.mark.filterwarnings(r"ignore:datetime\.datetime\.utcnow\(\) is deprecated:DeprecationWarning")
def test_numbers_are_compared_by_their_digits(tmp_path):
    cells = [code(f"print({now!r})", saved + "\n") for saved, now, _ in NUMBERS]
    cells += [
        code("1 / 0"),
        code("1 / 0", error="ZeroDivisionError"),
        code("while True:\n    pass"),
        code("print(0.5)", "0.5"),
    ]
    old = write(tmp_path / "old.ipynb", *cells)
    new = tmp_path / "new.ipynb"
    shutil.copy(old, new)
    runs = run_notebook(old, new, cell_seconds=5)
    assert [run.cell for run in runs] == list(range(1, len(cells) + 1))
    assert [sum(run.again) for run in runs[: len(NUMBERS)]] == [again for _, _, again in NUMBERS]
    assert [len(run.saved) for run in runs[len(NUMBERS) - 3 : len(NUMBERS)]] == [0, 0, 0]
    assert [run.error.partition(":")[0] for run in runs[-4:]] == ["ZeroDivisionError", "", "CellTimeoutError", ""]
    assert "it took more than 5 s and was interrupted; --time allows it more" in runs[-2].error
    assert runs[-1].again == (True,)


def printed(path):
    return [
        "".join(output.get("text", "?") for output in cell.outputs) for cell in nbformat.read(path, as_version=4).cells
    ]


@pytest.mark.parametrize(
    "end, error, said",
    [
        ("os._exit(3)", NotebookError, "kernel did not: .*What was printed before is kept in it"),
        ("os.kill(os.getppid(), signal.SIGINT); time.sleep(600)", KeyboardInterrupt, "^$"),
    ],
    ids=["death", "Ctrl-C"],
)
def test_a_run_that_is_cut_short_keeps_what_was_printed(tmp_path, end, error, said):
    """After the death of a kernel, and after Ctrl-C, which the third cell sends."""
    cells = ["print('one')", "print('two')", f"import os, signal, time; {end}", "print('four')"]
    old = write(tmp_path / "old.ipynb", *(code(cell, "of another day") for cell in cells))
    new, _ = migrate(old)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(error, match=said):
            run_notebook(old, new)
    finally:
        signal.signal(signal.SIGINT, before)
    assert printed(new) == ["one\n", "two\n", "", ""]
    assert printed(old) == ["of another day"] * 4


def test_a_kernel_that_prints_half_a_character(tmp_path):
    old = write(tmp_path / "old.ipynb", code("print('a\\ud83d')"), code("print(0.5)", "0.5"))
    new, _ = migrate(old)
    assert run_notebook(old, new)[1].again == (True,)
    assert printed(new) == ["a\ud83d\n", "0.5\n"]


def test_a_copy_of_the_edition_for_tensorflow_2_runs(tmp_path):
    """Its tests come from here, and its network where the file is missing; the rest stays as it is."""
    cells = [
        "import numpy as np\nimport tensorflow as tf\nfrom tensorflow.python.framework.ops import EagerTensor\n"
        "from public_tests import *",
        "vgg = tf.keras.applications.VGG19(include_top=False,\n                input_shape=(64, 64, 3),\n"
        "                weights='pretrained-model/vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5')\n"
        "vgg.trainable = False",
        "def gram_matrix(A):\n    return tf.linalg.matmul(A, tf.transpose(A))\n\ngram_matrix_test(gram_matrix)",
        "@tf.function()\ndef total_cost(J_content, J_style, alpha = 10, beta = 40):\n"
        "    return alpha * J_content + beta * J_style\n\ntotal_cost_test(total_cost)\n"
        "print(vgg.get_layer('block5_conv4').output.shape)",
    ]
    old = write(tmp_path / "old.ipynb", *map(code, cells))
    new, edits = migrate(old)
    assert [edit.after for edit in edits] == [
        "from nst_course.public_tests import *",
        "import nst_course",
        "vgg = nst_course.keras_vgg19(include_top=False,",
    ]
    assert sources(new)[2:] == cells[2:]
    assert not any(cell.error for cell in run_notebook(old, new))
    printed = [cell.outputs[0].text for cell in nbformat.read(new, as_version=4).cells[1:]]
    assert "There is no pretrained-model/vgg19" in printed[0] and "gram_matrix: right" in printed[1]
    assert "J = 32.9832" in printed[2] and "(None, 4, 4, 512)" in printed[2]
