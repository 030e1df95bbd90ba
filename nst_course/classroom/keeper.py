"""Keep a submission within its limits: the process that stands between the grader and a student's code.

It starts `execution`, which runs the notebooks, and watches whatever comes of it. On Linux a process that loses its
parent becomes a child of this one, also one that has emptied its environment and left its session. When the notebooks
are done, a limit is passed, or the grader is gone (the pipe it holds closes, whatever ended it), all of them are
killed.
"""

import contextlib
import ctypes
import json
import os
import pathlib
import secrets
import subprocess
import sys
import threading
import time

import psutil

from .._files import whole_file

PROCESSES = 256  # that a submission may have at once
GRACE = 30  # seconds that whoever was told to stop has to write down what was done
REPORT, OUTPUTS = "report.json", "outputs.json"  # what is left in the folder of the results
TOKEN = "NST_COURSE_GRADING"  # the variable that marks the processes of a submission


def adopt_orphans():
    """Become the parent of every process below that loses its own, where the system has that: Linux."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER


def descendants():
    """List the processes below this one that still run."""
    return [process for process in psutil.Process().children(recursive=True) if _runs(process)]


def carriers(token):
    """List the processes whose environment has a token that begins like this, also those that left their parents."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):  # another user's, or just ended
            carried = process.environ().get(TOKEN)
            if carried and carried.startswith(token) and process.pid != os.getpid() and _runs(process):
                found.append(process)
    return found


def _runs(process):
    with contextlib.suppress(psutil.Error):
        return process.status() != psutil.STATUS_ZOMBIE
    return False


def kill(find):
    """Kill what `find` finds until it finds nothing: they may start others meanwhile."""
    end = time.monotonic() + 10
    while (processes := find()) and time.monotonic() < end:
        for process in processes:
            with contextlib.suppress(psutil.Error):
                process.kill()
        time.sleep(0.02)


def remove_tree(root):
    """Remove a folder with whatever a student's code made in it, as deep as it may be.

    Every folder is first moved to the top, so that no path gets longer than the system allows, and nothing recurs.
    """
    root = pathlib.Path(root)
    waiting, moved = [root], 0
    while waiting:
        folder = waiting.pop()
        with contextlib.suppress(OSError):
            folder.chmod(0o700)
            with os.scandir(folder) as entries:
                for entry in list(entries):
                    with contextlib.suppress(OSError):
                        if entry.is_dir(follow_symlinks=False):
                            os.chmod(entry.path, 0o700)
                            target = root / f"{moved}-{secrets.token_hex(4)}"
                            os.rename(entry.path, target)
                            waiting.append(target)
                            moved += 1
                        else:
                            os.unlink(entry.path)
    for folder in sorted(root.glob("*")) + [root]:
        with contextlib.suppress(OSError):
            folder.rmdir()


def exceeded(limits, seconds, memory, processes):
    """Return (name, sentence) of the first limit that is passed, or None."""
    if memory > limits["memory"]:
        taken = f"the submission took more than {limits['memory'] / 1e9:.3g} GB of memory"
        return "MemoryLimit", f"{taken}; --memory allows more"
    if processes > PROCESSES:
        return "ProcessLimit", f"the submission had more than {PROCESSES} processes at once"
    if seconds > limits["seconds"]:
        return "TimeLimit", f"the submission took more than {limits['seconds']:.4g} s; --time allows more"
    return None


def main(root, results, limits):
    """Run what the grader sends down the pipe; write a report beside the results."""
    adopt_orphans()
    notebooks = sys.stdin.buffer.readline()
    gone = threading.Event()
    threading.Thread(target=lambda: (os.read(0, 1), gone.set()), daemon=True).start()  # read returns at its end
    started = time.monotonic()
    runner = subprocess.Popen(
        [sys.executable, "-m", f"{__package__}.execution"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    peak, stopped, end = 0, None, None
    with contextlib.suppress(OSError):
        runner.stdin.write(notebooks)
        runner.stdin.flush()
    while runner.poll() is None and not gone.is_set() and (end is None or time.monotonic() < end):
        processes, memory = descendants(), 0
        for process in processes:
            with contextlib.suppress(psutil.Error):  # it has just ended
                memory += process.memory_info().rss
        peak = max(peak, memory)
        if stopped is None:
            stopped = exceeded(limits, time.monotonic() - started, memory, len(processes))
            if stopped is not None:
                end = time.monotonic() + GRACE
                with contextlib.suppress(OSError):  # it has just ended
                    runner.stdin.write(json.dumps(stopped).encode() + b"\n")
                    runner.stdin.flush()
        gone.wait(0.1)
    kill(lambda: descendants() + carriers(os.environ[TOKEN]))
    if gone.is_set():  # nobody else will
        return remove_tree(root)
    report = {"seconds": time.monotonic() - started, "memory": peak, "stopped": stopped, "code": runner.wait()}
    with whole_file(pathlib.Path(results, REPORT)) as temporary:
        temporary.write_text(json.dumps(report))


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
