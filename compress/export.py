"""python -m compress.export: the command; it lives in `compress.commands.export`."""

import sys

from compress.commands.export import main

if __name__ == "__main__":
    sys.exit(main())
