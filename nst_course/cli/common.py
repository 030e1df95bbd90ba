"""What the verbs share."""

import argparse
import contextlib
import io
import pathlib
import signal
import threading

from .terminal import say


def count(text):
    """Return a whole number of at least 1, for argparse."""
    return _whole_number(text, 1)


def seed(text):
    """Return a whole number that NumPy takes as a seed, for argparse."""
    return _whole_number(text, 0, 2**32 - 1)


def _whole_number(text, least, most=None):
    try:
        number = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a whole number, found {text!r}") from None
    if number < least or most is not None and number > most:
        span = f"at least {least}" if most is None else f"{least} to {most}"
        raise argparse.ArgumentTypeError(f"expected {span}, found {number}")
    return number


def check_new(outputs, pictures):
    """Refuse to write over one of the user's pictures, or twice to one file."""
    pictures, seen = {pathlib.Path(p).resolve() for p in pictures}, set()
    for output in outputs:
        if pathlib.Path(output).resolve() in pictures:
            raise ValueError(f"Expected a new file to write to; {output} is one of your pictures. Choose another name.")
        if output in seen:
            raise ValueError(f"Expected pictures with different names; two would write {output}. Rename one.")
        seen.add(output)


def add_dask(sub, verb="paint"):
    """Add the option `--dask`."""
    sub.add_argument(
        "--dask",
        metavar="ADDRESS",
        help=f"{verb} on the workers of this dask cluster, which see the same files, such as tcp://10.0.0.1:8786",
    )


def executor(address):
    """Return a context with the executor of a cluster, or with None."""
    from ..many import dask_executor

    return contextlib.nullcontext() if address is None else dask_executor(address)


@contextlib.contextmanager
def ended_by_signals():
    """Take the signals that end a process for Ctrl-C: what is running ends in order."""
    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    if threading.current_thread() is not threading.main_thread():  # Python lets no other thread decide about signals
        numbers = []
    before = {number: signal.signal(number, signal.default_int_handler) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def picture_bar(outputs):
    """Return a bar over pictures, which also shows what it is told between two of them: ``bar.update(0)``."""
    from tqdm import tqdm

    return tqdm(total=len(outputs), unit="picture", desc="Pictures", miniters=0)


@contextlib.contextmanager
def frame_bar():
    """Show a bar over the frames of each video: yields what is called with the painted frames, and all of them."""
    from tqdm import tqdm

    bars = contextlib.ExitStack()

    def show(painted, total):
        if painted == 1:
            bars.close()
            show.bar = bars.enter_context(tqdm(total=total or None, unit="frame", desc="Frames", leave=False))
        show.bar.update()

    with bars:
        yield show


def paint_pictures(results, bar, folder):
    """Move a bar while pictures are painted, then list those that are not; return the exit status."""
    painted, failures = 0, []
    try:
        # Lines the library says of a picture would tear the bar, and are the same for the next: each once, below it.
        with contextlib.redirect_stdout(io.StringIO()) as said, contextlib.closing(results), bar:
            for picture, error in results:
                if error is None:
                    painted += 1
                else:
                    failures.append(f"{picture}: {error}")
                bar.update()
    finally:
        for line in dict.fromkeys(said.getvalue().splitlines()):
            say(line)
        say(f"Pictures: {painted} of {bar.total} in {pathlib.Path(folder).resolve()}")
        if failures:
            say("nst-course: not painted:", error=True)
        for failure in failures:
            say(failure, error=True)
    return 1 if failures else 0
