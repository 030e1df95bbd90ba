"""Run somebody's function where it can do no harm, and say in a sentence what it raised."""

import contextlib
import inspect
import io
import logging
import os
import random
import sys
import threading
import warnings
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from .explain import InteractiveSessionError, explain, message

tf1 = tf.compat.v1


#: Each graph is run a few times only: optimising it would take longer than running it.
CONFIG = tf1.ConfigProto()
CONFIG.graph_options.rewrite_options.disable_meta_optimizer = True


class CheckError(AssertionError):
    """A checked function is wrong. The text is four lines: function and mistake, expected, found, hint.

    Attributes
    ----------
    function : str
        The course's name of the function, such as "compute_content_cost".
    mistake : str
        What was recognised, such as "content/missing-4"; several are joined by "+". "content/unknown" is a wrong
        value that fits no known cause.
    expected, found : str
        What should have come and what came, each one line.
    hint : str
        What was probably done, why it matters and where to look.
    drawing : str
        For mistakes of reshaping a small matrix as the function made it, beside the one that was meant; else empty.
    """

    def __init__(self, function, mistake, expected, found, hint):
        expected, found, hint = (" ".join(str(text).split()) for text in (expected, found, hint))
        super().__init__(f"{function}: {mistake}\nexpected {expected}\nfound {found}\n{hint}")
        self.function, self.mistake, self.expected, self.found, self.hint = function, mistake, expected, found, hint
        self.drawing = ""

    def _render_traceback_(self):
        """Return the lines that IPython shows in place of a traceback: ours, and the student's that raised."""
        lines = str(self).splitlines()
        if self.__cause__ is not None and (line := _students_line(self.__cause__)):
            lines.insert(3, line)
        return lines + (["", *self.drawing.splitlines()] if self.drawing else [])


def _students_line(error):
    """Return the innermost line of a notebook's or a student's own file in which an exception was raised."""
    own = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    found = ""
    for frame in inspect.getinnerframes(error.__traceback__):
        library = frame.filename.startswith((own, sys.prefix, sys.base_prefix)) or "site-packages" in frame.filename
        if not library and frame.code_context:
            found = f"line {frame.lineno}: {frame.code_context[frame.index].strip()}"
    return found


def is_tensor(value):
    """Say whether a value is a tensor or a variable."""
    return isinstance(value, tf.Tensor | tf.Variable)


class Subject(NamedTuple):
    """What is checked: the function's name, the first part of its mistakes' names, and what its result is called."""

    function: str
    family: str
    result: str

    def error(self, expected, found, *parts):
        """Make a CheckError of one or several (mistake, hint)."""
        mistake = "+".join(slug for slug, _ in parts)
        return CheckError(self.function, f"{self.family}/{mistake}", expected, found, " ".join(h for _, h in parts))

    def call(self, expected, fn, *args, **kwargs):
        """Call a function; what it raises, and None in place of a result, become a CheckError."""
        if not callable(fn):
            hint = (
                f"{self.function} is no function: another value was given that name. Run the cell with its def again."
            )
            raise self.error(expected, f"a {type(fn).__name__}", ("not-a-function", hint))
        with self.explained(expected):
            result = fn(*args, **kwargs)
        if result is None:
            raise self.error(
                expected,
                "None",
                (
                    "returns-none",
                    "The function returns None: it has no return line, or what it returns is a blank that still says "
                    "None. Look at the last line and at where its name is assigned.",
                ),
            )
        return result

    @contextlib.contextmanager
    def guarded(self):
        """Turn what a check itself raises, since nobody thought of such a function, into a CheckError."""
        try:
            yield
        except CheckError:
            raise
        except Exception as error:
            hint = "What came of the function could not be looked at. Go through its steps one by one."
            found = f"{type(error).__name__} while the result was looked at"
            raise self.error(self.result, found, ("unreadable", hint)) from error

    @contextlib.contextmanager
    def explained(self, expected):
        """Turn an exception inside the block, an exit too, into a CheckError that names it."""
        try:
            yield
        except (Exception, SystemExit, GeneratorExit) as error:
            if isinstance(error, CheckError):
                raise
            slug, hint = explain(error)
            found = f"{type(error).__name__}: {message(error)}".removesuffix(": ")
            raise self.error(expected, found, (slug, hint)) from error

    def read(self, expected, results, sess):
        """Return the values of some tensors or numbers as arrays, in one run."""
        for result in results:
            if isinstance(result, tf.Tensor | tf.Variable):
                number = result.dtype.is_floating or result.dtype.is_integer
            else:
                number = isinstance(result, np.ndarray | np.number | float | int)
            if not number:
                kind = type(result).__name__
                hint = f"The function returns a {kind}, not {self.result}. Look at what stands after return."
                raise self.error(expected, f"a {kind}", ("type", hint))
        if any(is_tensor(result) and result.dtype.size < 4 and result.dtype.is_floating for result in results):
            hint = (
                "The result is a float of 16 bits, which holds 3 digits at most. The activations are float32, and so "
                "is what is computed with them. Look for a cast."
            )
            raise self.error(expected, "a tensor of 16 bits", ("half-precision", hint))
        with self.explained(expected):
            tensors = [result for result in results if is_tensor(result)]
            values = iter(sess.run(tensors) if sess and tensors else [tensor.numpy() for tensor in tensors])
        return [np.asarray(next(values) if is_tensor(result) else result) for result in results]


#: Output is silenced for the whole process, so that checks in several threads have to take turns.
turn = threading.RLock()


@contextlib.contextmanager
def untouched():
    """Keep the output of a block to itself, and put the random states back after it."""
    numpy_state, python_state, level = np.random.get_state(), random.getstate(), logging.root.manager.disable
    with contextlib.ExitStack() as stack:
        stack.enter_context(turn)
        stack.enter_context(_eager_seed())
        stack.enter_context(_no_interactive_session())
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        stack.enter_context(contextlib.redirect_stderr(io.StringIO()))
        stack.enter_context(_no_log())
        logging.disable(logging.CRITICAL)
        try:
            yield
        finally:
            logging.disable(level)
            np.random.set_state(numpy_state)
            random.setstate(python_state)


@contextlib.contextmanager
def _eager_seed():
    """Put back the seed of eager mode, and how many numbers were drawn; TensorFlow can be asked for neither."""
    from tensorflow.python.eager import context

    state = context.context()
    kept = {name: getattr(state, name) for name in ("_seed", "_rng") if hasattr(state, name)}
    drawn = kept["_rng"].getstate() if isinstance(kept.get("_rng"), random.Random) else None
    try:
        yield
    finally:
        for name, value in kept.items():
            setattr(state, name, value)
        if drawn is not None:
            kept["_rng"].setstate(drawn)


@contextlib.contextmanager
def _no_interactive_session():
    """Make InteractiveSession raise: once open, it would leave its graph as everybody's default."""

    def refuse(*args, **kwargs):
        raise InteractiveSessionError("InteractiveSession inside a function")

    kept = tf1.InteractiveSession
    tf1.InteractiveSession = refuse
    try:
        yield
    finally:
        tf1.InteractiveSession = kept


@contextlib.contextmanager
def _no_log():
    """Silence what TensorFlow's C++ code writes: it goes past sys.stderr, and graders of notebooks see it."""
    try:
        kept = os.dup(2)
    except OSError:  # closed
        yield
        return
    try:
        with open(os.devnull, "w") as null:
            os.dup2(null.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


@contextlib.contextmanager
def mode():
    """Give a session on a graph of its own where graphs are in use, and None where TensorFlow is in eager mode."""
    if tf.executing_eagerly():
        yield None
    else:
        with tf.Graph().as_default(), tf1.Session(config=CONFIG) as sess:
            yield sess
