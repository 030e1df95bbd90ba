"""Run the notebooks of one submission under limits: the process that `grade` starts for each.

The student's code runs in the kernels this process starts. When a limit is reached they are killed, and this process
writes down what had been done until then.
"""

import contextlib
import json
import pathlib
import sys
import threading
import time

# jsonschema, behind nbformat, would use this if it could, and its import alone takes longer than all others together.
sys.modules["rfc3987_syntax"] = None

import nbformat  # noqa: E402
import psutil  # noqa: E402
from nbclient import NotebookClient  # noqa: E402

CELL_OUTPUT = 1_000_000  # characters a cell may leave in the notebook

_TOO_LONG = "the cell took too long and was interrupted; c.Execute.timeout in nbgrader_config.py allows it more seconds"
CELL_TIMEOUT = {
    "ename": "CellTimeoutError",
    "evalue": _TOO_LONG,
    "traceback": [f"CellTimeoutError: {_TOO_LONG}"],
}


class Watch(threading.Thread):
    """Kills whatever this process has started once a limit is reached.

    Memory is what the processes occupy, not what they reserve: TensorFlow reserves much.
    """

    def __init__(self, seconds, memory):
        super().__init__(daemon=True)
        self.seconds, self.memory = seconds, memory
        self.started = time.monotonic()
        self.peak, self.reason = 0, None

    def run(self):
        """Look ten times a second. A limit once reached holds: what is started later is killed too."""
        while True:
            processes, memory = psutil.Process().children(recursive=True), 0
            for process in processes:
                with contextlib.suppress(psutil.Error):  # it has just ended
                    memory += process.memory_info().rss
            self.peak = max(self.peak, memory)
            if self.reason is None and memory > self.memory:
                taken = f"the submission took more than {self.memory / 1e9:.3g} GB of memory"
                self.reason = ("MemoryLimit", f"{taken}; --memory allows more")
            if self.reason is None and time.monotonic() - self.started > self.seconds:
                self.reason = ("TimeLimit", f"the submission took more than {self.seconds:.4g} s; --time allows more")
            if self.reason is not None:
                for process in processes:
                    with contextlib.suppress(psutil.Error):
                        process.kill()
            time.sleep(0.1)


class BoundedClient(NotebookClient):
    """A client that keeps only so much of what a cell prints or shows, and every error."""

    def __init__(self, nb, **settings):
        super().__init__(nb, on_cell_executed=self.keep_error, **settings)
        self.room = [CELL_OUTPUT] * len(nb.cells)

    def process_message(self, msg, cell, cell_index):
        """Take a message of the kernel, shortened or dropped where the cell's room is used up."""
        content = msg["content"]
        if msg["msg_type"] in ("stream", "display_data", "update_display_data", "execute_result", "error"):
            size, room = len(repr(content)), self.room[cell_index]
            self.room[cell_index] -= size
            if size > room:
                if msg["msg_type"] == "error":
                    content["evalue"] = content["evalue"][:1000]
                    content["traceback"] = [line[-1000:] for line in content["traceback"][-10:]]
                elif msg["msg_type"] == "stream" and room > 0:
                    content["text"] = content["text"][:room] + "\n[What was printed after this was not kept.]\n"
                else:
                    return None
        return super().process_message(msg, cell, cell_index)

    def keep_error(self, cell, cell_index, execute_reply):
        """Note the error of a cell that failed without showing it: nbgrader takes silence for success."""
        content = execute_reply["content"]
        if content["status"] == "error" and content["ename"] not in [output.get("ename") for output in cell.outputs]:
            # A cell that took too long shows the KeyboardInterrupt it was sent instead.
            outputs = [output for output in cell.outputs if output.output_type != "error"]
            cell.outputs = [*outputs, error(content["ename"], content["evalue"][:1000])]


def run(path, folder, cell_seconds, watch):
    """Run one notebook and return it. Cells that could not be run any more hold an error that says why."""
    nb = nbformat.read(path, as_version=4)
    client = BoundedClient(
        nb,
        timeout=cell_seconds,
        interrupt_on_timeout=True,
        error_on_timeout=CELL_TIMEOUT,
        raise_on_iopub_timeout=True,
        allow_errors=True,
        skip_cells_with_tag="",  # a test cell that a student has tagged would be skipped, and count as passed
        store_widget_state=False,
        shutdown_kernel="immediate",
        resources={"metadata": {"path": str(folder)}},
    )
    done = 0
    try:
        with client.setup_kernel():
            for cell in nb.cells:
                client.execute_cell(cell, done)
                done += 1
    except Exception as problem:  # whatever it is, the cells that are done keep their points
        name, text = watch.reason or (type(problem).__name__, str(problem)[:1000])
        for cell in nb.cells[done:]:
            if cell.cell_type == "code":
                cell.outputs = [*cell.get("outputs", []), error(name, text)]
    return nb


def error(name, text):
    """Make the output of a cell that failed."""
    return nbformat.v4.new_output("error", ename=name, evalue=text, traceback=[f"{name}: {text}"])


def main(folder, results, cell_seconds, seconds, memory):
    """Run all notebooks of a folder; write them and a report to another."""
    watch = Watch(seconds, memory)
    watch.start()
    results = pathlib.Path(results)
    for path in sorted(pathlib.Path(folder).glob("*.ipynb")):
        nb = run(path, folder, cell_seconds, watch)
        # A student may print half a character, which no file can hold.
        (results / path.name).write_bytes(nbformat.writes(nb).encode("utf-8", "replace"))
    report = {"seconds": time.monotonic() - watch.started, "memory": watch.peak, "stopped": watch.reason}
    (results / "report.json").write_text(json.dumps(report))


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
