"""What the verbs share."""

import argparse
import pathlib


def count(text):
    """Return a whole number of at least 1, for argparse."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected at least 1, found {number}")
    return number


def check_new(output, pictures):
    """Refuse to write over one of the user's pictures."""
    if pathlib.Path(output).resolve() in (pathlib.Path(p).resolve() for p in pictures):
        raise ValueError(f"Expected a new file to write to; {output} is one of your pictures. Choose another name.")
