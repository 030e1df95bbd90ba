"""Run the notebooks of one submission: the process that `keeper` starts for each.

The student's code runs in the kernels this process starts. They are killed when `keeper` says that a limit was passed,
and this process writes down what had been done until then. The notebooks, hidden tests included, come down a pipe, and
lie in no file that the student's code could look for.
"""

import json
import os
import sys
import threading
import time

# jsonschema, behind nbformat, would use this if it could, and its import alone takes longer than all others together.
sys.modules["rfc3987_syntax"] = None

import nbformat  # noqa: E402
from nbclient import NotebookClient  # noqa: E402
from nbclient.exceptions import CellTimeoutError  # noqa: E402

from .._files import whole_file  # noqa: E402
from .._kernel import PACKER  # noqa: E402
from .keeper import adopt_orphans, descendants, kill  # noqa: E402

CELL_OUTPUT = 1_000_000  # characters a cell may leave in the notebook
ANSWER = 30  # seconds, at most, that a kernel has to end a cell which it was told to interrupt
START, STARTS = 60, 3  # seconds a kernel has to come up before another one is tried, and how many are

_TOO_LONG = "the cell took more than {:.4g} s and was interrupted; c.Execute.timeout in nbgrader_config.py allows more"


class Limit(threading.Thread):
    """Waits for the sentence that a limit was passed; from then on kills whatever this process starts."""

    def __init__(self):
        super().__init__(daemon=True)
        self.reason = None

    def run(self):
        """Wait for a line; none comes if the process that would send it is gone, and then all is over as well."""
        line = os.read(0, 65536)  # not by sys.stdin, which Python could not close while a thread waits in it
        self.reason = json.loads(line or '["Stopped", "the grading was stopped"]')
        while True:
            kill(descendants)
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
            size, room = len(json.dumps(content, default=repr)), self.room[cell_index]
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


def run(nb, folder, cell_seconds, limit):
    """Run a notebook in place. Cells that could not be run hold an error that says why.

    A cell that does not let itself be interrupted takes its kernel with it. The others must not pay for that: a new
    kernel runs what went before it once more, without it, and goes on behind it.

    A kernel that does not come up is started anew. Its ports were chosen before it binds them, and another program may
    have taken one meanwhile; it then ends, or waits for ever.
    """
    cell_seconds = cell_seconds if cell_seconds and cell_seconds > 0 else None
    too_long = _TOO_LONG.format(cell_seconds or 0)
    stuck, done, starts = set(), 0, 0
    while True:
        client = BoundedClient(
            nb,
            timeout=cell_seconds,
            iopub_timeout=min(cell_seconds or ANSWER, ANSWER),
            startup_timeout=START if starts + 1 < STARTS else 3600,  # the limit of the submission ends the last one
            extra_arguments=[PACKER],
            interrupt_on_timeout=True,
            error_on_timeout={"ename": "CellTimeoutError", "evalue": too_long, "traceback": []},
            raise_on_iopub_timeout=True,
            allow_errors=True,
            skip_cells_with_tag="",  # a test cell that a student has tagged would be skipped, and count as passed
            store_widget_state=False,
            shutdown_kernel="immediate",
            resources={"metadata": {"path": str(folder)}},
        )
        index, starts = 0, starts + 1
        try:
            with client.setup_kernel():
                starts = 0
                for index, cell in enumerate(nb.cells):
                    if index in stuck or cell.cell_type != "code":
                        continue
                    outputs = cell.get("outputs", [])
                    client.execute_cell(cell, index)
                    if index < done:  # it ran before; what it gave then is what counts
                        cell.outputs = outputs
                    done = max(done, index + 1)
            return
        except CellTimeoutError:
            if index < done:
                nb.cells[index].outputs = outputs
            else:
                more = "; it did not let itself be interrupted, and its kernel was ended"
                nb.cells[index].outputs += [error("CellTimeoutError", too_long + more)]
            stuck.add(index)
            done = max(done, index + 1)
        except Exception as problem:  # whatever it is, the cells that are done keep their points
            if 0 < starts < STARTS and not limit.reason:
                continue
            name, text = limit.reason or (type(problem).__name__, str(problem)[:1000])
            break
    for cell in nb.cells[done:]:
        if cell.cell_type == "code":
            cell.outputs = [*cell.get("outputs", []), error(name, text)]


def error(name, text):
    """Make the output of a cell that failed."""
    return nbformat.v4.new_output("error", ename=name, evalue=text, traceback=[f"{name}: {text}"])


def main():
    """Run the notebooks of the job that comes down the pipe; write the outputs of their cells to a file."""
    adopt_orphans()
    job = json.loads(sys.stdin.buffer.readline())
    limit = Limit()
    limit.start()
    outputs = {}
    for name, text in job["notebooks"].items():
        nb = nbformat.reads(text, as_version=4)
        run(nb, job["folder"], job["cell_seconds"], limit)
        outputs[name] = [cell.get("outputs", []) for cell in nb.cells]
    with whole_file(job["results"]) as temporary:
        temporary.write_text(json.dumps(outputs))


if __name__ == "__main__":
    main()
