"""Somebody's function in its notebook: what it is made of, what it sees, what its code mentions."""

import contextlib
import dis
import functools
import inspect
import os
import types


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


def parameters_of(fn):
    """Return the parameters of a callable, in their order; None where Python cannot tell them."""
    try:
        return list(inspect.signature(fn).parameters.values())
    except (TypeError, ValueError):
        return None


def takes(fn, name):
    """Say whether a callable takes an argument of that name, as far as can be told."""
    parameters = parameters_of(fn)
    return parameters is None or any(p.name == name or p.kind is p.VAR_KEYWORD for p in parameters)


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


def has_number(fn, wanted):
    """Say whether one of some numbers is written into a callable's code."""
    numbers = set()
    for function in functions_of(fn):
        for constant in function.__code__.co_consts:
            numbers.update(constant if isinstance(constant, tuple) else [constant])
    return any(isinstance(number, int | float) and number in wanted for number in numbers)
