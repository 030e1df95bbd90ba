"""``python -m nst_course`` is the command `nst-course`."""

import sys

from .cli import main

sys.exit(main())
