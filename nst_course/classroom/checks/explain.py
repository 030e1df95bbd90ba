"""What the exceptions of students' functions mean, in a sentence each."""

import inspect
import re

import tensorflow as tf


class InteractiveSessionError(RuntimeError):
    """A checked function has opened an InteractiveSession."""


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
        ValueError,
        r"No gradients provided",
        "no-gradient",
        "No gradient reaches what the optimizer changes: the cost does not come from it. Look at whether the cost is "
        "computed from the picture, and inside the tape.",
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


def message(error):
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
