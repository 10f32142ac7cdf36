"""python -m compress.speed: the command; it lives in `compress.commands.speed`."""

import sys

from compress.commands.speed import main

if __name__ == "__main__":
    sys.exit(main())
