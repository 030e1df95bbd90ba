"""The ``nst-course`` command. Thin: every verb calls one library function and says what came of it."""

import argparse
import difflib
import re
import signal
import sys

import argcomplete

from .. import __version__
from ..vgg import LayerNotFoundError
from .classroom import add_check, add_grade, add_migrate, add_notebook
from .networks import add_apply, add_export, add_sheet, add_styles, add_train
from .paint import add_demo, add_restyle, add_stylize
from .terminal import OutputError, drop, flush, say, streams
from .weights import add_weights

#: Windows has no such signal.
_SIGPIPE = 13

#: The verbs by what one wants to do.
GROUPS = {
    "see it work": (add_demo, add_check),
    "learn": (add_notebook, add_migrate),
    "paint": (add_stylize, add_restyle, add_apply, add_styles, add_sheet),
    "train, fetch, export, look into networks": (add_train, add_export, add_weights),
    "teach": (add_grade,),
}


def main(argv=None):
    """Run the ``nst-course`` command.

    Parameters
    ----------
    argv : list of str, optional
        The words behind the command's name; by default those it was called with.

    Returns
    -------
    int
        Exit status: 0 when all went well, 1 for an error or a value that is off, 130 after Ctrl-C, 141 when whoever
        read what was printed has stopped reading, as ``head`` does.
    """
    with streams():
        try:
            try:
                return _run(argv)
            finally:
                flush()
        except OutputError as error:
            drop(sys.stdout)
            if isinstance(error.__cause__, BrokenPipeError):
                return 128 + _SIGPIPE
            say(f"nst-course: {error}", error=True)
            return 1


def _run(argv):
    parser = _parser()
    argcomplete.autocomplete(parser)  # does nothing unless the shell asks what could come next
    args, rest = parser.parse_known_args(argv)
    if args.run is None:
        parser.print_help()
        return 0
    if rest and not hasattr(args, "jupyter"):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if rest:
        args.jupyter += rest
    try:
        return args.run(args)
    except KeyboardInterrupt:
        say("Interrupted.", error=True)
        return 128 + signal.SIGINT
    except (ValueError, ArithmeticError, OSError, LayerNotFoundError, ModuleNotFoundError) as error:
        say(f"nst-course: {error}", error=True)
        return 1


class _Parser(argparse.ArgumentParser):
    """A parser that knows what was meant by a mistyped verb or choice."""

    def error(self, message):
        """End with the message, and the nearest of the choices."""
        if found := re.search(r"invalid choice: '([^']*)' \(choose from (.*)\)", message):
            choices = [choice.strip().strip("'") for choice in found[2].split(",")]
            if near := difflib.get_close_matches(found[1], choices, 1):
                message = f"{message}. Did you mean {near[0]}?"
        super().error(message)


def _parser():
    parser = _Parser(
        prog="nst-course",
        description="Learn neural style transfer by doing it.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"nst-course {__version__}")
    # argparse cannot group verbs: they get no help of their own here, and are listed below.
    parser.set_defaults(run=None)
    verbs = parser.add_subparsers(metavar="VERB", help="what to do; VERB -h lists its options")
    lines = []

    def verb(name, run, text):
        lines.append(f"  {name:10}{text}")
        sub = verbs.add_parser(name, description=text)
        sub.set_defaults(run=run)
        return sub

    for title, add_verbs in GROUPS.items():
        lines.append(f"\n{title}:")
        for add_verb in add_verbs:
            add_verb(verb)
    parser.epilog = "\n".join(lines).strip()
    return parser
