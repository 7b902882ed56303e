"""python -m jhash."""

import sys

from jhash import cli

if __name__ == "__main__":
    sys.exit(cli.main())
