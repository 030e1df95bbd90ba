"""Run somebody's function where it can do no harm, and say in a sentence what it raised."""

import contextlib
import dis
import functools
import inspect
import io
import logging
import os
import random
import re
import sys
import threading
import types
import warnings
from typing import NamedTuple

import numpy as np
import tensorflow as tf

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


class InteractiveSessionError(RuntimeError):
    """A checked function has opened an InteractiveSession."""


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
    def explained(self, expected):
        """Turn an exception inside the block, an exit too, into a CheckError that names it."""
        try:
            yield
        except (Exception, SystemExit, GeneratorExit) as error:
            if isinstance(error, CheckError):
                raise
            slug, hint = explain(error)
            found = f"{type(error).__name__}: {_message(error)}".removesuffix(": ")
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


#: Exception, what its message matches, the mistake's name, the hint. The first that fits is taken; {0} is what the
#: pattern's group found.
_EXCEPTIONS = (
    (
        InteractiveSessionError,
        "",
        "interactive-session",
        "The function opens an InteractiveSession, which stays open after it and takes the place of the notebook's "
        "session: all later cells would fail. Use what the notebook gives, or no session at all.",
    ),
    (
        (Exception, SystemExit),
        r"feed a value for placeholder",
        "placeholder",
        "The function makes a placeholder, and nothing feeds it a value. Use the arguments themselves.",
    ),
    (
        TypeError,
        r"as a Python .?bool",
        "tensor-as-condition",
        "A tensor of a graph stands where Python asks yes or no, as after if, and, or while: it has no value yet. "
        "The formulas need no condition.",
    ),
    (
        TypeError,
        r"(?i)iterating over|not iterable|is not a sequence",
        "iterated",
        "Something is gone through item by item, by a loop or by unpacking, that cannot be, such as a tensor of a "
        "graph. TensorFlow's functions work on whole tensors.",
    ),
    (
        (TypeError, ValueError, tf.errors.InvalidArgumentError),
        r"for \^|logical_xor|LogicalXor|bitwise_xor|BitwiseXor",
        "caret",
        "In Python ^ is no power: it compares bits. A power is written **.",
    ),
    (
        AssertionError,
        r"reset_default_graph|nested graphs",
        "reset-graph",
        "The function calls tf.reset_default_graph, which throws away the notebook's graph while it is in use. That "
        "belongs into a cell of its own, or nowhere.",
    ),
    (
        RuntimeError,
        r"(?i)closed session|session .*closed",
        "session-closed",
        "A session is used that was closed. The notebook's session stays open: look for close, and for a with around "
        "sess.",
    ),
    (
        AttributeError,
        r"module '\S*keras\S*' has no attribute '(\w+)'",
        "keras-name",
        "Today's Keras has nothing called {0}: it was dropped with Keras 3, or is mistyped. TensorFlow has a function "
        "of its own for each step of the formulas.",
    ),
    (
        (SystemExit, GeneratorExit),
        "",
        "exits",
        "The function ends Python with exit or quit. Look for such a call: a function ends with return.",
    ),
    (
        (NotImplementedError, TypeError),
        r"symbolic|__array__",
        "numpy-on-tensor",
        "A NumPy function was given a tensor of a graph, which has no numbers yet. Compute with TensorFlow's own "
        "functions, so that the result stays something an optimiser can differentiate.",
    ),
    (
        NotImplementedError,
        "",
        "blank",
        "The function still raises NotImplementedError: its blank is not filled in. Put your code where that line is.",
    ),
    (
        (TypeError, ValueError, AttributeError),
        r"NoneType|None values|value \(None\)|value None",
        "none-used",
        "The code computes with None: a blank that still says None, or a step whose result was not kept. Look for a "
        "name that is None at that line.",
    ),
    (
        AttributeError,
        r"compat\.v1\S* has no attribute '(\w+)'",
        "name",
        "TensorFlow has nothing called {0}. Is it mistyped? Compare it with the function's documentation.",
    ),
    (
        AttributeError,
        r"Tensor\b.* has no attribute '(\w+)'",
        "attribute",
        "A tensor has no {0}; NumPy arrays may have it. Look for TensorFlow's own function that does the same.",
    ),
    (
        AttributeError,
        r"module '\S*tensorflow\S*' has no attribute '(\w+)'",
        "tf1-name",
        "TensorFlow 2 has no tf name {0}: it is a name of TensorFlow 1, or mistyped. The course's names are in "
        "tensorflow.compat.v1; look at how the first cell imports TensorFlow.",
    ),
    (
        AttributeError,
        r"'numpy\.ndarray' object has no attribute '(\w+)'",
        "array",
        "In the run a_C and a_S are NumPy arrays, values that sess.run has read; an array has no {0}. Ask the other "
        "argument, a_G, which is always a tensor.",
    ),
    (
        NameError,
        r"'(\w+)'",
        "name",
        "The name {0} has no value when it is used: mistyped, or assigned nowhere before that line. Compare its "
        "spelling with the lines above.",
    ),
    (
        (tf.errors.FailedPreconditionError, tf.errors.InternalError),
        "variable",
        "initialiser",
        "Some variables have no value yet: the optimiser keeps its own, beside the picture. The initialiser must be "
        "made and also run in the session, before anything else.",
    ),
    (
        (ValueError, RuntimeError, TypeError, tf.errors.InvalidArgumentError),
        r"element of this graph|same graph|from a different graph|out of scope",
        "other-graph",
        "The function uses a tensor that was made outside it, in another graph. Use the function's arguments only, and "
        "nothing of that name from an earlier cell.",
    ),
    (
        (TypeError, ValueError),
        r"`fetch`|Fetch argument",
        "fetch",
        "sess.run was given something that is no tensor and no operation. Is a pair of parentheses missing, so that a "
        "function is passed and not what it makes?",
    ),
    (
        TypeError,
        r"positional argument|keyword argument|required argument",
        "arguments",
        "The number or the names of some arguments do not fit. Compare the def line with the one in the exercise, and "
        "the calls with what they call.",
    ),
    (
        (KeyError, LookupError),
        "",
        "key",
        "A layer is looked up under a name that the model does not have. Look at what the loop takes out of "
        "STYLE_LAYERS, and in which order.",
    ),
    (
        (TypeError, ValueError, tf.errors.InvalidArgumentError),
        r"dtype|type int|type float|expected to be an? \w+ tensor|Expected (?:int|float)",
        "types",
        "Two kinds of numbers meet: TensorFlow does not mix whole numbers with floats, or floats of two precisions. "
        "Look at where sizes come in; sizes as Python numbers fit any tensor.",
    ),
    (
        (ValueError, tf.errors.InvalidArgumentError),
        r"(?i)shape|dimension|incompatible|size|rank|perm|axes|reshape|unpack",
        "shapes",
        "The shapes do not fit together at that step. Write down the shape of every intermediate result, from the "
        "arguments on, with sizes read from the arguments rather than typed in.",
    ),
    (
        RecursionError,
        "",
        "calls-itself",
        "The function calls itself without end. Is the function called inside it meant to be another one?",
    ),
)


def _message(error):
    """Return what an exception says, without TensorFlow's account of the graph."""
    text = re.sub(r"\{\{.*?\}\}|\[Op:\w+\].*", "", str(error))
    node = re.search(r"^Node: .*\n(.*)", text, re.MULTILINE)
    return " ".join((node[1] if node else text).split())[:300]


def explain(error):
    """Return the mistake's name and a hint for an exception."""
    if isinstance(error, TypeError) and re.search("as a Python .?bool", str(error)) and _inside_run(error):
        return "fetch", (
            "sess.run takes one thing to run, or several in brackets: sess.run([a, b]). What stands second is taken "
            "for values to feed."
        )
    for kinds, pattern, slug, hint in _EXCEPTIONS:
        match = re.search(pattern, str(error))
        if isinstance(error, kinds) and match:
            return slug, hint.format(*match.groups())
    return "raises", "The function stops with this exception. Read its last line, and look at the line it points to."


def _inside_run(error):
    """Say whether an exception was raised inside a session's run."""
    return any(
        frame.function == "run" and frame.filename.endswith("session.py")
        for frame in inspect.getinnerframes(error.__traceback__, context=0)
    )


#: Output is silenced for the whole process, so that checks in several threads have to take turns.
_turn = threading.RLock()


@contextlib.contextmanager
def untouched():
    """Keep the output of a block to itself, and put the random states back after it."""
    numpy_state, python_state, level = np.random.get_state(), random.getstate(), logging.root.manager.disable
    with contextlib.ExitStack() as stack:
        stack.enter_context(_turn)
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


def functions_of(fn):
    """Return the plain functions that a callable is made of.

    Those it wraps, that it is a method or a partial of, that a tf.function compiles, and that its closure holds.
    """
    found, waiting = [], [fn]
    while waiting:
        one = waiting.pop()
        if isinstance(one, types.FunctionType):
            if any(one is other for other in found):
                continue
            found.append(one)
            waiting += [cell.cell_contents for cell in one.__closure__ or () if _filled(cell)]
            waiting.append(getattr(one, "__wrapped__", None))
        elif isinstance(one, functools.partial):
            waiting.append(one.func)
        elif isinstance(one, types.MethodType):
            waiting.append(one.__func__)
        elif one is not None:
            waiting.append(getattr(one, "python_function", None))
            if isinstance(method := inspect.getattr_static(type(one), "__call__", None), types.FunctionType):
                waiting.append(method)
    return found


def _filled(cell):
    try:
        return callable(cell.cell_contents)
    except ValueError:  # empty
        return False


@contextlib.contextmanager
def seeing(fn, **ours):
    """Let a callable, and the functions of its notebook, see our values in place of some globals.

    The notebook's globals are put back at the end, with what the functions assigned to them undone.
    """
    notebooks = {id(function.__globals__): function.__globals__ for function in functions_of(fn)}
    # What wraps a function may come from a library, whose globals are its own.
    notebooks = [names for names in notebooks.values() if not _is_foreign(names)]
    kept = [dict(names) for names in notebooks]
    try:
        for names in notebooks:
            names.update(ours)
        yield
    finally:
        for names, before in zip(notebooks, kept):
            for name in names.keys() - before.keys():
                del names[name]
            names.update(before)


def _is_foreign(names):
    """Say whether globals are those of Python's or somebody else's module."""
    file, name = names.get("__file__") or "", names.get("__name__") or ""
    installed = file.startswith(os.path.dirname(os.__file__)) or "site-packages" in file
    return installed and not name.startswith("nst_course")


def mentions(fn, name):
    """Say whether a callable's code uses a name."""
    return any(name in function.__code__.co_names for function in functions_of(fn))


def has_caret(fn):
    """Say whether a callable's code has the operator ^."""
    return any(
        step.opname in ("BINARY_XOR", "INPLACE_XOR") or step.opname == "BINARY_OP" and step.argrepr in ("^", "^=")
        for function in functions_of(fn)
        for step in dis.get_instructions(function)
    )


def types_in(fn, sizes):
    """Say whether some of these numbers are written into a callable's code."""
    numbers = set()
    for function in functions_of(fn):
        for constant in function.__code__.co_consts:
            numbers.update(constant if isinstance(constant, tuple) else [constant])
    return any(number == size for number in numbers for size in sizes if isinstance(number, int | float))
