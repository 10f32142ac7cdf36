"""python -m compress.export: the command; it lives in `compress.commands.export`."""

import sys

if __name__ == "__main__":
    from compress.commands.export import main

    sys.exit(main())

from compress.exporting.export import export

sys.modules[__name__] = export  # type: ignore[assignment] - an import of this module must not hide the function
