"""``python -m tests.fuzz``: readers and damaged files, in processes that may die.

An input fails that ends its reader with a signal, takes more than 1 GB or 20 s of processor time, or raises what the
reader's documentation does not name. The same numbers give the same inputs: what is printed of a failure is how to see
it again.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time

from .readers import readers

MOST_MEMORY, MOST_SECONDS = 10**9, 20


def main():
    """Fuzz, and return the number of failures, at most 100."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Read damaged files.")
    parser.add_argument("--inputs", type=int, default=2000, help="damaged files for each reader (%(default)s)")
    parser.add_argument("--first", type=int, default=0, help="number of the first (%(default)s)")
    parser.add_argument("--reader", action="append", choices=list(readers()), help="one of them (all)")
    parser.add_argument("--keep", type=pathlib.Path, help="folder to write the failing inputs to")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        return _work(args.reader[0], args.first, args.inputs)
    failures = 0
    # The longest first, so that the others fill the time beside it.
    names = sorted(args.reader or readers(), key=lambda name: not readers()[name].apart)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        runs = {pool.submit(_run_all, name, args.first, args.inputs): name for name in names}
        for run in concurrent.futures.as_completed(runs):
            name, (failed, died, seconds) = runs[run], run.result()
            _say(name, args, failed, died, seconds)
            failures += len(failed)
    return min(failures, 100)


def _say(name, args, failed, died, seconds):
    """Print what came of a reader, and keep the inputs that failed."""
    for number, what in failed:
        print(f"{name}: {what}: python -m tests.fuzz --reader {name} --first {number} --inputs 1", flush=True)
        if args.keep:
            args.keep.mkdir(parents=True, exist_ok=True)
            (args.keep / f"{name}-{number}").write_bytes(_input(readers()[name], name, number))
    apart = f", {died} ended the process they are read in" if died else ""
    print(f"{name}: {args.inputs:,} inputs, {len(failed)} failures{apart}, {seconds:.0f} s", flush=True)


def _run_all(name, first, n):
    """Run one worker after another until all inputs are read; return failures, how many children died, and seconds."""
    started, failed, died, last = time.monotonic(), [], 0, first + n
    while first < last:
        first, found, deaths = _run(name, first, last - first)
        failed += found
        died += deaths
    return failed, died, time.monotonic() - started


def _run(name, first, n):
    """Run a worker; return the number after the last input it saw, its failures, and how many ended a child."""
    command = [sys.executable, "-m", "tests.fuzz", "--worker", "--reader", name]
    command += ["--first", str(first), "--inputs", str(n)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    failed = [(line["input"], line["what"]) for line in lines if "what" in line]
    last = max((line["at"] for line in lines if "at" in line), default=first - 1)
    deaths = sum(line.get("deaths", 0) for line in lines)
    if done.returncode:
        reason = signal.Signals(-done.returncode).name if done.returncode < 0 else f"exit status {done.returncode}"
        if last < first:
            raise RuntimeError(f"The worker of {name} did not come to its first input: {reason}")
        if reason != "exit status 3":  # which stands for a failure that was said, after which memory is not clean
            failed.append((last, f"ended with {reason}"))
        return last + 1, failed, deaths
    return first + n, failed, deaths


def _input(reader, name, number, samples=None):
    return reader.damage(random.Random(f"{name} {number}"), samples or reader.samples())


def _work(name, first, n):
    """Read inputs, and say which one before each, and what failed."""
    out = os.fdopen(os.dup(1), "w")
    reader = readers()[name]
    samples, errors = reader.samples(), reader.errors()
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    deaths = 0
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "input")

        def say(**line):
            print(json.dumps(line), file=out, flush=True)

        for content in samples:  # what is good is read, so that what is damaged is, too
            path.write_bytes(content)
            _attempt(reader, path, ())
        peak = _peak()
        for number in range(first, first + n):
            path.write_bytes(_input(reader, name, number, samples))
            say(at=number)
            signal.setitimer(signal.ITIMER_PROF, MOST_SECONDS)
            what, memory, died = _attempt(reader, path, errors)
            signal.setitimer(signal.ITIMER_PROF, 0)
            deaths += died
            memory = memory or _peak() - peak
            if memory > MOST_MEMORY:
                what = f"took {memory / 1e9:.1f} GB"
            if what:
                say(input=number, what=what)
            if memory > MOST_MEMORY:
                say(deaths=deaths)
                return 3  # the peak of this process says no more of the next inputs
        say(deaths=deaths)
    return 0


def _peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _attempt(reader, path, errors):
    """Read; return what is wrong, the memory a child took or 0, and whether a child died."""
    if not reader.apart:
        return _read(reader, path, errors), 0, False
    before, pid = _peak(), os.fork()
    if not pid:
        what = None
        try:
            what = _read(reader, path, errors)
            path.with_name("what").write_text(what or "")
        finally:
            os._exit(4 if what else 0)
    _, status, used = os.wait4(pid, 0)
    memory = max(1, used.ru_maxrss * 1024 - before)
    if used.ru_utime + used.ru_stime > MOST_SECONDS:
        return f"took {used.ru_utime + used.ru_stime:.0f} s", memory, False
    if os.WIFSIGNALED(status):
        return None, memory, True  # which is what the process is for
    return (path.with_name("what").read_text() if os.WEXITSTATUS(status) else None), memory, False


def _read(reader, path, errors):
    try:
        reader.read(path)
    except errors:
        return None
    except BaseException as error:
        if not errors:
            raise
        return f"raised {type(error).__name__}: {' '.join(str(error).split())[:200]}"
    return None


if __name__ == "__main__":
    sys.exit(main())
