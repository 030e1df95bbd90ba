"""Notebooks are compared by what they print and show, not by what TensorFlow notes about the machine it runs on."""

# The student version of the assignment fails until a student has written the functions.
collect_ignore = ["student"]


def pytest_collectstart(collector):
    """Leave out of the comparison stderr, where the notes go and progress bars, and animations, as pictures are."""
    if hasattr(collector, "skip_compare"):
        collector.skip_compare += ("stderr", "image/gif")
