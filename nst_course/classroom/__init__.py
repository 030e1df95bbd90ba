"""The classroom: checks that name the mistake, and grading."""
