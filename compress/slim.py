"""python -m compress.slim: the command; it lives in `compress.commands.slim`."""

import sys

if __name__ == "__main__":
    from compress.commands.slim import main

    sys.exit(main())

from compress.slimming.surgery import slim

sys.modules[__name__] = slim  # type: ignore[assignment] - an import of this module must not hide the function
