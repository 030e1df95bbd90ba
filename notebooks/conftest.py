"""Notebooks are compared by what they print and show, not by what TensorFlow notes about the machine it runs on."""

# The student version of the assignment fails until a student has written the functions.
collect_ignore = ["student"]


def pytest_collectstart(collector):
    """Leave stderr out of the comparison: the notes go there, and progress bars."""
    if hasattr(collector, "skip_compare"):
        collector.skip_compare += ("stderr",)
