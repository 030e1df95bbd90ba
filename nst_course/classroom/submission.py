"""Run one submission: a copy of it, in processes of its own that are all gone at the end.

What it leaves is read with suspicion: by then a student's code may have put anything in its place.
"""

import concurrent.futures
import contextlib
import functools
import json
import os
import pathlib
import secrets
import shutil
import site
import subprocess
import sys
import tempfile
import threading
import time
from typing import NamedTuple

import nbformat

from . import keeper
from .intake import NOTEBOOK, read_regular
from .isolation import wall


class Ran(NamedTuple):
    """What is left of a submission's run.

    Attributes
    ----------
    outputs : bytes or None
        JSON: for each notebook the outputs of its cells. None if the run did not get that far.
    problem : str
        A limit that was passed, or why there are no outputs; or empty.
    seconds : float
        How long it ran.
    memory : int
        The most memory its processes occupied, in bytes.
    outside : tuple of str
        What it wrote outside its folder, where relative paths and ``~`` lead.
    """

    outputs: bytes | None
    problem: str
    seconds: float
    memory: int
    outside: tuple


class Here(concurrent.futures.ThreadPoolExecutor):
    """Runs submissions on this machine, each in processes of its own; ends them all when it is left."""

    def __init__(self, jobs):
        super().__init__(jobs)
        self.stopped = threading.Event()

    def submit(self, function, /, *args, **kwargs):
        """Run a submission when there is room."""
        return super().submit(functools.partial(function, stopped=self.stopped), *args, **kwargs)

    def __exit__(self, *exception):
        self.stopped.set()
        self.shutdown(cancel_futures=True)


def run_submission(folder, limits, *, hidden=(), isolate=False, stopped=None):
    """Run the notebooks of a submission.

    Parameters
    ----------
    folder : str or path-like
        The submission, its test cells restored. It is not changed.
    limits : dict
        Of ``seconds`` and bytes of ``memory`` it may take; ``cell_seconds``, or None, for each cell; and the number of
        ``threads`` that it may keep busy.
    hidden : list of path-like, optional
        Folders it is not to see, where it is isolated.
    isolate : bool, optional
        Whether to run it in bubblewrap.
    stopped : threading.Event, optional
        Ends the run when it is set.

    Returns
    -------
    Ran
    """
    # Two levels down, so that ../ and ../../ stay inside too.
    root = pathlib.Path(tempfile.mkdtemp(prefix="nst-submission-")).resolve()
    work, home, results = root / "class" / "submission", root / "home", root / "results"
    token = secrets.token_hex(24)
    try:
        results.mkdir()
        # Without nbgrader's write protection, and without the notebooks: they hold the hidden tests.
        shutil.copytree(folder, work, copy_function=shutil.copyfile, ignore=shutil.ignore_patterns("*.ipynb"))
        notebooks = {path.stem: path.read_text("utf-8") for path in sorted(pathlib.Path(folder).glob("*.ipynb"))}
        job = {"notebooks": notebooks, "folder": str(work), "results": str(results / keeper.OUTPUTS), **limits}
        command = [sys.executable, "-m", f"{__package__}.keeper"]
        command.append(json.dumps({"root": str(root), "results": str(results), "limits": limits}))
        process = subprocess.Popen(
            [*wall(root, hidden), *command] if isolate else command,
            cwd=results,  # not the student's folder: Python would import its modules
            env=_environment(home, token, limits["threads"]),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            with contextlib.suppress(OSError):  # it has ended already
                process.stdin.write(json.dumps(job).encode() + b"\n")
                process.stdin.flush()
            end = time.monotonic() + limits["seconds"] + 2 * keeper.GRACE
            while process.poll() is None and time.monotonic() < end and not (stopped and stopped.is_set()):
                time.sleep(0.05)
        finally:
            with contextlib.suppress(OSError):
                process.stdin.close()  # tells the keeper to end all
            if stopped and stopped.is_set():
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(keeper.GRACE)
            if process.poll() != 0:
                process.kill()
                keeper.kill(lambda: keeper.carriers(token))
            process.wait()
        outside = _outside(root, work, home)
        killed = Ran(None, "the process that ran it was killed", 0.0, 0, outside)
        return _read(results, killed) if process.returncode == 0 else killed
    finally:
        keeper.remove_tree(root)


def _environment(home, token, threads):
    """Make the environment of a submission: what programs need to run, and nothing that could decide about points."""
    import matplotlib.font_manager  # finds the fonts once, rather than in every kernel
    from jupyter_core.paths import jupyter_data_dir

    for name in ("tmp", "matplotlib"):
        (home / f".{name}").mkdir(parents=True)
    for fonts in pathlib.Path(matplotlib.get_cachedir()).glob("fontlist*.json"):
        shutil.copy(fonts, home / ".matplotlib")
    kept = {name: value for name, value in os.environ.items() if name.upper() in KEPT or name.startswith(KEPT_KINDS)}
    counts = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
    return {
        **kept,
        **dict.fromkeys(counts, str(threads)),
        "HOME": str(home),
        **dict.fromkeys(("TMPDIR", "TMP", "TEMP"), str(home / ".tmp")),
        "IPYTHONDIR": str(home / ".ipython"),
        "MPLCONFIGDIR": str(home / ".matplotlib"),
        # Packages and kernels the user has installed in the real home.
        "PYTHONUSERBASE": site.getuserbase(),
        "JUPYTER_PATH": os.pathsep.join(filter(None, [os.environ.get("JUPYTER_PATH"), jupyter_data_dir()])),
        "NBGRADER_EXECUTION": "autograde",  # as nbgrader sets it
        keeper.TOKEN: token,
    }


#: The variables of the teacher's that a submission sees: where programs lie, the language, the graphics card.
KEPT = set("PATH PYTHONPATH LANG LANGUAGE TZ USER LOGNAME LD_LIBRARY_PATH DYLD_LIBRARY_PATH".split())
KEPT |= set("SYSTEMROOT SYSTEMDRIVE WINDIR COMSPEC PATHEXT APPDATA LOCALAPPDATA PROGRAMDATA".split())
KEPT |= {"TF_FORCE_GPU_ALLOW_GROWTH"}
KEPT_KINDS = ("LC_", "CUDA_", "NVIDIA_")


def _outside(root, work, home):
    """List what a submission left outside its folder, where its relative paths or ~ reach."""
    expected = {work, work.parent, home, root / "results"}
    # Programs keep their settings in files that begin with a dot.
    names = [f"~/{path.name}" for path in _list(home) if not path.name.startswith(".")]
    names += [os.path.relpath(path, work) for path in _list(root) + _list(work.parent) if path not in expected]
    return tuple(names[:5])


def _list(folder):
    try:
        return sorted(folder.iterdir())
    except OSError:  # it was removed
        return []


def _read(results, killed):
    """Read what the keeper and the runner have left; what a runner left that did not end in order is not believed."""
    try:
        report = json.loads(read_regular(results / keeper.REPORT, 10_000))
        seconds, memory = float(report["seconds"]), int(report["memory"])
        problem = str(report["stopped"][1])[:300] if report["stopped"] else ""
        if not (0 <= seconds < 1e9 and 0 <= memory < 1e18):
            raise ValueError(seconds, memory)
    except Exception:  # not written by us
        return killed
    left = killed._replace(problem=problem or killed.problem, seconds=seconds, memory=memory)
    if report.get("code") != 0:
        return left
    try:
        return left._replace(problem=problem, outputs=read_regular(results / keeper.OUTPUTS, NOTEBOOK))
    except (OSError, ValueError) as error:
        return left._replace(problem=problem or f"what its run left cannot be read: {error}")


def fill(folder, ran):
    """Put what the cells of a submission have left into its notebooks.

    Parameters
    ----------
    folder : path-like
        The submission, its test cells restored.
    ran : Ran
        What is left of its run.

    Returns
    -------
    list of str
        What went wrong, in sentences.
    """
    status = [ran.problem] if ran.problem else []
    try:
        outputs = {} if ran.outputs is None else json.loads(ran.outputs)
    except Exception:  # not written by us
        outputs = {}
    kinds = set()
    for path in sorted(pathlib.Path(folder).glob("*.ipynb")):
        nb = nbformat.read(path, as_version=4)
        try:
            _put(nb, outputs[path.stem])
        except Exception as problem:
            status = status or [f"what its run left cannot be read ({type(problem).__name__})"]
            nothing = [nbformat.v4.new_output("error", ename="NotRun", evalue=status[0])]
            _put(nb, [nothing if cell.cell_type == "code" else [] for cell in nb.cells])
        kinds |= {kind for _, kind, _ in errors(nb.cells)}
        path.unlink()
        path.write_bytes(nbformat.writes(nb).encode("utf-8", "replace"))  # half a character, which no file can hold
    if "DeadKernelError" in kinds and not ran.problem:
        status.append("its kernel ended early")
    if "CellTimeoutError" in kinds:
        status.append("a cell was interrupted; c.Execute.timeout in nbgrader_config.py allows it more seconds")
    if ran.outside:
        status.append(f"it wrote outside its folder: {', '.join(ran.outside)}")
    return status


def _put(nb, outputs):
    """Give each code cell its outputs, if they are such as nbformat knows."""
    if len(outputs) != len(nb.cells):
        raise ValueError("expected as many outputs as cells")
    for cell, left in zip(nb.cells, outputs):
        if cell.cell_type == "code":
            cell.outputs = [nbformat.from_dict(output) for output in left]
            cell.execution_count = None
    nbformat.validate(nb)


def errors(cells):
    """Give (cell, kind, text) of every error in the outputs of cells."""
    for cell in cells:
        for output in cell.get("outputs", []):
            if output.get("output_type") == "error":
                yield cell, str(output.get("ename")), str(output.get("evalue"))
