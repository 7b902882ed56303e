"""The command line `python -m jhash`."""

import signal
import sys

# While modules are imported, and while Python ends, Ctrl-C ends the process without a traceback.
if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

# Python puts the current folder first for -m. A file numpy.py of somebody else there would take the
# place of the installed package, so it goes before anything else is imported.
if __name__ == "__main__" and not sys.flags.safe_path:
    del sys.path[0]

from jhash.commands import main

if __name__ == "__main__":
    main.script()
