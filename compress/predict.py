"""python -m compress.predict: the command; it lives in `compress.commands.predict`."""

import sys

from compress.commands.predict import main

if __name__ == "__main__":
    sys.exit(main())
