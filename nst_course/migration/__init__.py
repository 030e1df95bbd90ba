"""Old copies of the course notebook "Art Generation with Neural Style Transfer" made to run again.

`edits` writes a new notebook and lists what it changed; it reads the old one as text and runs nothing. `running` runs
the new one and says which of the old one's saved numbers came out again.
"""
