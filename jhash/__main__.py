"""The command line `python -m jhash`."""

import sys

from jhash.commands import main

if __name__ == "__main__":
    sys.exit(main.main())
