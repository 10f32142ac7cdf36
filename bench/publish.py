"""The committed tables from the committed records: everything below reports/tables and the table in the README.

    python -m bench.publish          # writes them
    python -m bench.publish --check  # changes nothing; fails when a byte would change
    python -m bench.publish --html out/html  # every table as a page with all its plots; not committed

Rendering is pure, so CI can hold every published figure to its record.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from bench import records, tables
from bench.pages import readme as front_page
from bench.pages.files import committed
from bench.pages.html import html
from bench.pages.page import Page
from bench.pages.ratio_rows import sheet
from bench.registry import KINDS, PAGES
from compress.exit_status import exit_status
from compress.files import must_be_folder, write_atomic
from compress.program import program

REPORTS, README = Path("reports"), Path("README.md")
HTML = ".html"
FRONT = ("table5", "fer2013", "cpu")
"""Table, data set and scale of the records on the front page."""


def groups(root: Path) -> list[tuple[str, str, str]]:
    """(table, data, scale) of every folder of records below `root`."""
    found = {path.parent.relative_to(root).parts for path in records.paths(root, "*/*/*/*.json")}
    return sorted((table, data, scale) for table, data, scale in found)


def pages(reports: Path = REPORTS) -> list[Page]:
    """Every page that the records give, group by group."""
    made = []
    for table, data, scale in groups(reports / "records"):
        beside = KINDS[table].beside if table in KINDS else ()  # some folders hold the records of several tables
        found = records.load_all(reports / "records", table=table, data=data, scale=scale, beside=beside)
        made += [page(found, data=data, scale=scale) for page in PAGES[table]]
    return made


def published(reports: Path = REPORTS, readme: Path = README) -> dict[Path, bytes]:
    """Every committed file and what must stand in it: those of every page but HTML, and the table in the README."""
    files: dict[Path, bytes] = {}
    for page in pages(reports):
        folder = reports / "tables" / f"{page.data}-{page.scale}"
        files |= {folder / name: content for name, content in committed(page).items()}
    name, data, scale = FRONT
    if front := records.load_all(reports / "records", table=name, data=data, scale=scale):
        snippet = front_page.readme_table(sheet(tables.TABLES[name], front, data=data, scale=scale))
        files[readme] = front_page.embed(readme.read_text(encoding="utf-8"), snippet).encode()
    return files


def in_html(folder: Path, reports: Path = REPORTS) -> dict[Path, bytes]:
    """Every page as HTML below `folder`."""
    return {folder / f"{page.data}-{page.scale}" / f"{page.name}.html": html(page).encode() for page in pages(reports)}


def stale(files: dict[Path, bytes], reports: Path = REPORTS) -> list[str]:
    """Names of files that differ from what their records give, are missing, or have no record."""
    wrong = [str(path) for path, content in files.items() if not path.is_file() or path.read_bytes() != content]
    there = [path for path in (reports / "tables").glob("*/*") if path.suffix != HTML]
    return sorted(wrong + [str(path) for path in there if path not in files])


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point: 0 when all is as the records say (or was written), 1 when `--check` found a difference."""
    parser = argparse.ArgumentParser(prog=program("bench.publish"), description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; fail when a byte would change")
    parser.add_argument("--html", type=Path, metavar="DIR", help="write the tables as pages there, and nothing else")
    given = parser.parse_args(argv)
    return exit_status("bench.publish", lambda: run(given))


def run(given: argparse.Namespace) -> int:
    """What `main` gives.

    Raises:
        ValueError: a record that cannot be read, or a folder that cannot be written to.
    """
    if given.html:
        must_be_folder(given.html, "--html")
    files = in_html(given.html) if given.html else published()
    if given.check:
        wrong = stale(files)
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
