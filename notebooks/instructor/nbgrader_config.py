"""nbgrader's settings for a class folder. Copy this file there; docs/instructors.md says what else belongs in it."""

c = get_config()  # noqa: F821 - nbgrader defines it when it reads this file

# A test cell that a student has deleted is put back; without this its points could not be lost.
c.OverwriteCells.add_missing_cells = True

# What a test cell writes to stderr (TensorFlow's notes, a progress bar) would cost all its points. Errors still do.
c.IgnorePattern.enabled = True
c.IgnorePattern.pattern = "(?s).*"

# Seconds for one cell. After that it is interrupted, counts as wrong, and the next one runs.
c.Execute.timeout = 300
