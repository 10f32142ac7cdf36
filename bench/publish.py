"""The committed tables from the committed records: everything below reports/tables, the table in the README, and the
plot of our networks among others.

    python -m bench.publish          # writes them
    python -m bench.publish --check  # changes nothing; fails when a byte would change
    python -m bench.publish --html out/html  # all of it as a folder that opens in a browser; not committed

Rendering is pure, so CI can hold every published figure to its record.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.pages.files import committed
from bench.pages.peers import peers_plot
from bench.pages.site import site
from bench.registry import gathered
from bench.shipped import records_in
from bench.tables.ratios.readme import embed, readme_table
from compress.exit_status import exit_status
from compress.files import must_be_folder, write_atomic
from compress.program import program

REPORTS, README = Path("reports"), Path("README.md")
PEERS = Path("docs/models/peers.svg")
HTML = ".html"
FRONT = (
    "table5",
    "fer2013",
    "strong+control.epochs=2+latency_attempts=1+latency_seconds=1.0+tune.epochs=12+width=1.0",
)
"""Table, data set and scale of the records on the front page."""


def published(reports: Path = REPORTS, readme: Path = README) -> dict[Path, bytes]:
    """Every committed file and what must stand in it: those of every page but HTML, and the table in the README."""
    files: dict[Path, bytes] = {}
    pages = gathered(reports / "records")[0]
    for page in pages:
        folder = reports / "tables" / f"{page.data}-{page.scale}"
        files |= {folder / name: content for name, content in committed(page).items()}
    for page in pages:
        if (page.name, page.data, page.scale) == FRONT:
            files[readme] = embed(readme.read_text(encoding="utf-8"), readme_table(page)).encode()
            beside = [records_in(reports / "records" / kind) for kind in ("shipped", "rivals")]
            files[readme.parent / PEERS] = peers_plot(page, *beside).svg.encode()
    return files


def in_html(folder: Path, reports: Path = REPORTS) -> dict[Path, bytes]:
    """A folder that opens in a browser: index.html, every page, every record.

    Raises:
        ValueError: there is no record.
    """
    pages, found = gathered(reports / "records")
    if not pages:
        raise ValueError(f"there is no record in {reports}/records: start it in the folder that holds {reports}/")
    front = [page for page in pages if (page.name, page.data, page.scale) == FRONT]
    return {folder / path: content for path, content in site(pages, (front or pages)[0], found, json=False).items()}


def stale(files: dict[Path, bytes], reports: Path = REPORTS) -> list[str]:
    """Names of files that differ from what their records give, are missing, or have no record."""
    wrong = [str(path) for path, content in files.items() if not path.is_file() or path.read_bytes() != content]
    there = [path for path in (reports / "tables").glob("*/*") if path.suffix != HTML]
    return sorted(wrong + [str(path) for path in there if path not in files])


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point: 0 when all is as the records say (or was written), 1 when `--check` found a difference."""
    parser = argparse.ArgumentParser(prog=program("bench.publish"), description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; fail when a byte would change")
    parser.add_argument(
        "--html",
        type=Path,
        metavar="DIR",
        help="write a folder that opens in a browser: index.html, every table, every record; nothing else",
    )
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
