"""What the command prints, and the streams it prints to."""

import contextlib
import os
import sys

from .._text import printable


class OutputError(Exception):
    """Standard output takes no more: its reader has gone, or the disk behind it is full."""


def say(text, *, error=False):
    """Print one line. All that the command prints goes through here, since nearly all of it may come from a file.

    Parameters
    ----------
    text : str
        The line, made `printable`.
    error : bool, optional
        Print it to the error stream.

    Raises
    ------
    OutputError
        If standard output takes no more.
    """
    if error:
        print(printable(text), file=sys.stderr)
        return
    with _explained():
        print(printable(text), flush=True)


def flush():
    """Write out what has been printed to standard output by whatever means.

    Raises
    ------
    OutputError
        If standard output takes no more.
    """
    with _explained():
        sys.stdout.flush()


@contextlib.contextmanager
def _explained():
    try:
        yield
    except OSError as error:
        raise OutputError(f"Could not write to standard output: {error.strerror}.") from error


@contextlib.contextmanager
def streams():
    """Make the standard streams such that a command does not end because of them, whatever they are.

    A stream that was closed before the command began leads nowhere. What an encoding has no character for is written
    as an escape. An error stream whose reader has gone leads nowhere from then on: what is shown there, bars above all,
    is no reason to stop.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):  # in the order of their numbers
        if getattr(sys, name) is None:
            # It gets the number that is free, or the next file would: what C++ writes to number 2 would end up there.
            stream = open(os.devnull, mode)
            os.set_inheritable(stream.fileno(), True)
            setattr(sys, name, stream)
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")
    sys.stderr, before = _Unfailing(sys.stderr), sys.stderr
    try:
        yield
    finally:
        sys.stderr = before


class _Unfailing:
    """A stream that takes whatever is written, also where it leads nowhere any more."""

    def __init__(self, stream):
        self._stream = stream

    def __getattr__(self, name):
        return getattr(self._stream, name)

    def write(self, text):
        try:
            return self._stream.write(text)
        except (OSError, ValueError):  # ValueError: it was closed
            drop(self._stream)
            return len(text)

    def flush(self):
        try:
            self._stream.flush()
        except (OSError, ValueError):
            drop(self._stream)


def drop(stream):
    """Lead a stream nowhere, so that Python does not complain of it when it ends.

    Parameters
    ----------
    stream : text stream
        One of the standard streams.
    """
    with contextlib.suppress(OSError, ValueError), open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), stream.fileno())
