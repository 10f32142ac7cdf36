"""The committed tables from the committed records: everything below reports/tables and the table in the README.

    python -m bench.publish          # writes them
    python -m bench.publish --check  # changes nothing; fails when a byte would change

Rendering is pure, so CI can hold every published figure to its record.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from bench import records
from bench.pages import render
from bench.registry import RENDERERS
from compress.files import write_atomic

REPORTS, README = Path("reports"), Path("README.md")
FRONT = ("table5", "fer2013", "cpu")
"""Table, data set and scale of the records on the front page."""


def groups(root: Path) -> list[tuple[str, str, str]]:
    """(table, data, scale) of every folder of records below `root`."""
    found = {path.parent.relative_to(root).parts for path in root.glob("*/*/*/*.json")}
    return sorted((table, data, scale) for table, data, scale in found)


def published(reports: Path = REPORTS, readme: Path = README) -> dict[Path, bytes]:
    """Every generated file and what must stand in it."""
    files: dict[Path, bytes] = {}
    for table, data, scale in groups(reports / "records"):
        found = records.load_all(reports / "records", table=table, data=data, scale=scale)
        rendered = RENDERERS[table](found, data=data, scale=scale)
        files |= {reports / "tables" / f"{data}-{scale}" / name: content for name, content in rendered.items()}
        if (table, data, scale) == FRONT:
            snippet = render.readme_table(found, table=table, data=data, scale=scale)
            files[readme] = render.embed(readme.read_text(encoding="utf-8"), snippet).encode()
    return files


def stale(files: dict[Path, bytes], reports: Path = REPORTS) -> list[str]:
    """Names of files that differ from what their records give, are missing, or have no record."""
    wrong = [str(path) for path, content in files.items() if not path.is_file() or path.read_bytes() != content]
    orphans = [str(path) for path in (reports / "tables").glob("*/*") if path not in files]
    return sorted(wrong + orphans)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point: 0 when all is as the records say (or was written), 1 when `--check` found a difference."""
    parser = argparse.ArgumentParser(prog="python -m bench.publish", description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; fail when a byte would change")
    given = parser.parse_args(argv)
    files = published()
    wrong = stale(files)
    if given.check:
        for name in wrong:
            print(f"{name} is not what the records give: run python -m bench.publish", file=sys.stderr)
        print(f"{len(files)} files checked, {len(wrong)} differ")
        return 1 if wrong else 0
    for path, content in files.items():
        write_atomic(path, content)
    print(f"{len(files)} files written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
