"""Run somebody's function where it can do no harm, and say in a sentence what it raised."""

import contextlib
import inspect
import io
import logging
import os
import random
import re
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
    """

    def __init__(self, function, mistake, expected, found, hint):
        expected, found, hint = (" ".join(str(text).split()) for text in (expected, found, hint))
        super().__init__(f"{function}: {mistake}\nexpected {expected}\nfound {found}\n{hint}")
        self.function, self.mistake, self.expected, self.found, self.hint = function, mistake, expected, found, hint


def is_tensor(value):
    """Say whether a value is a tensor or a variable."""
    return tf.is_tensor(value) or isinstance(value, tf.Variable)


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
        """Turn an exception inside the block into a CheckError that names it."""
        try:
            yield
        except Exception as error:
            slug, hint = explain(error)
            found = f"{type(error).__name__}: {_message(error)}".removesuffix(": ")
            raise self.error(expected, found, (slug, hint)) from error

    def read(self, expected, results, sess):
        """Return the values of some tensors or numbers as arrays, in one run."""
        for result in results:
            if is_tensor(result):
                number = result.dtype.is_floating or result.dtype.is_integer
            else:
                number = isinstance(result, np.ndarray | np.number | float | int)
            if not number:
                kind = type(result).__name__
                hint = f"The function returns a {kind}, not {self.result}. Look at what stands after return."
                raise self.error(expected, f"a {kind}", ("type", hint))
        with self.explained(expected):
            tensors = [result for result in results if is_tensor(result)]
            values = iter(sess.run(tensors) if sess and tensors else [tensor.numpy() for tensor in tensors])
        return [np.asarray(next(values) if is_tensor(result) else result) for result in results]


#: Exception, what its message matches, the mistake's name, the hint. The first that fits is taken; {0} is what the
#: pattern's group found.
_EXCEPTIONS = (
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
        r"module '(?:tensorflow|\S*tensorflow\S*|\S*keras\S*)' has no attribute '(\w+)'",
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
        "The shapes do not fit together at that step. Write down the shape of every intermediate result, from "
        "(1, n_H, n_W, n_C) on, with sizes read from the argument rather than typed in.",
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
    for kinds, pattern, slug, hint in _EXCEPTIONS:
        match = re.search(pattern, str(error))
        if isinstance(error, kinds) and match:
            return slug, hint.format(*match.groups())
    return "raises", "The function stops with this exception. Read its last line, and look at the line it points to."


@contextlib.contextmanager
def untouched():
    """Keep the output of a block to itself, and put the random states back after it."""
    numpy_state, python_state, level = np.random.get_state(), random.getstate(), logging.root.manager.disable
    with contextlib.ExitStack() as stack:
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


def rebind(fn, **ours):
    """Return a copy of a function that sees our values in place of some globals; its own globals are left alone.

    Functions of the same notebook that it calls see them too. What is no plain function is returned as it is.
    """
    inner = inspect.unwrap(fn)
    if not isinstance(inner, types.FunctionType):
        return fn
    theirs = inner.__globals__
    copies = dict(theirs)

    def copy(function):
        made = types.FunctionType(
            function.__code__, copies, function.__name__, function.__defaults__, function.__closure__
        )
        made.__kwdefaults__ = function.__kwdefaults__
        return made

    for name, value in theirs.items():
        if isinstance(value, types.FunctionType) and value.__globals__ is theirs:
            copies[name] = copy(value)
    copies.update(ours)
    return copy(inner)


def mentions(fn, name):
    """Say whether a function's code uses a name."""
    code = getattr(inspect.unwrap(fn), "__code__", None)
    return code is not None and name in code.co_names
