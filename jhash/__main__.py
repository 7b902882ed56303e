"""The command line `python -m jhash`."""

import sys

# Python puts the current folder first for -m. A file numpy.py of somebody else there would take the
# place of the installed package, so it goes before anything else is imported.
if not sys.flags.safe_path:
    del sys.path[0]

from jhash.commands import main

if __name__ == "__main__":
    sys.exit(main.main())
