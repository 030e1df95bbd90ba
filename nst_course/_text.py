"""Text of unknown origin made fit to be printed."""


def printable(value):
    r"""Write a value on one line, with an escape such as ``\x1b`` or ``\n`` for every character that does not show.

    Text out of a file, and the name of one, may hold line breaks that feign other lines, orders to the terminal, marks
    that turn the direction of writing, and bytes that are no text at all.

    Parameters
    ----------
    value : object
        What is to be printed.

    Returns
    -------
    str
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(value))
