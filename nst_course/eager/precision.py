"""Which precision computes faster on this machine, found out by timing it."""

import pathlib
import sys
import time

import tensorflow as tf


def has_bfloat16():
    """Say whether it can be that this machine computes in bfloat16: without arithmetic for it, it is never faster.

    Returns
    -------
    bool
        False only where that is certain: on Linux, with no GPU, where the processor lists no such instructions.
    """
    if not sys.platform.startswith("linux") or tf.config.list_logical_devices("GPU"):
        return True
    flags = _flags()
    return not flags or bool(flags & _BFLOAT16)


def processor_features():
    """Say in a line what of the processor decides about speed: the instructions that Linux says it has.

    Returns
    -------
    str
        Such as "with avx2 avx512f avx512_bf16"; empty where it is not known.
    """
    known = _flags() & {"avx2", "avx512f", "asimd", *_BFLOAT16}
    return f"with {' '.join(sorted(known))}" if known else ""


#: Linux' names of instructions for bfloat16, on x86 and on ARM.
_BFLOAT16 = {"avx512_bf16", "amx_bf16", "avx_ne_convert", "bf16"}


def _flags():
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return set()
    # "flags" on x86, "Features" on ARM.
    return {flag for line in lines if line.lower().startswith(("flags", "features")) for flag in line.split()}


def time_precisions(run):
    """Time a computation in float32 and in bfloat16, taking turns.

    Parameters
    ----------
    run : callable
        Computes in the precision it is given, ``"float32"`` or ``"bfloat16"``. The first call of each compiles and does
        not count.

    Returns
    -------
    dict of str to float
        The least seconds of three runs in each.
    """
    seconds = {"float32": [], "bfloat16": []}
    for _ in range(4):
        for precision, times in seconds.items():
            started = time.perf_counter()
            run(precision)
            times.append(time.perf_counter() - started)
    return {precision: min(times[1:]) for precision, times in seconds.items()}


def faster(timings):
    """Return bfloat16 where it is clearly the faster one, else float32.

    Parameters
    ----------
    timings : dict of str to float
        What `time_precisions` returned.

    Returns
    -------
    {"float32", "bfloat16"}
        A tenth is what timings vary by: a run should not paint another picture the next time for less.
    """
    return "bfloat16" if timings["bfloat16"] < 0.9 * timings["float32"] else "float32"
