"""Data sets by name: `name` or `name:PATH` gives train, validation and test, decoded and memory-mapped.

>>> data = open_dataset("fer2013:fer2013.csv", size=64, cache=Path("reports/runs/data"))
"""

from collections.abc import Callable
from pathlib import Path

from compress.files import must_be_folder
from fermodels.data import affectnet, fer2013, ferplus, folder, lfw, prepared, rafdb, synthetic
from fermodels.data.base import Dataset, LoadOptions, Split

DATASETS: dict[str, Callable[[str | None, LoadOptions], Dataset]] = {
    "synthetic": synthetic.load,
    "fer2013": fer2013.load,
    "ferplus": ferplus.load,
    "rafdb": rafdb.load,
    "affectnet": affectnet.load,
    "affectnet8": affectnet.load8,
    "folder": folder.load,
    "lfw": lfw.load,
    "prepared": prepared.load,
}
"""name -> loader(path, options). A new data set is a module and one line here; the laws in the tests come for free."""


def open_dataset(spec: str, *, size: int, cache: Path, skip_broken: bool = False, progress: bool = False) -> Dataset:
    """The data set that `spec` names, "synthetic" or "fer2013:PATH", with images of `size` x `size` pixels.

    Decoded arrays are kept in `cache`; `skip_broken` continues past broken images and counts them in the notes;
    `progress` shows a live bar on a terminal.

    Raises:
        ValueError: an unknown name, a missing or wrong path, a broken image or row; the sentence names it and says
            what is allowed.
    """
    name, _, path = spec.partition(":")
    if name not in DATASETS:
        raise ValueError(f'no data set "{name}": a data set is NAME or NAME:PATH, NAME one of {", ".join(DATASETS)}')
    if size < 1:
        raise ValueError(f"size {size}: an image needs at least one pixel a side")
    must_be_folder(cache, "the cache")
    options = LoadOptions(size=size, cache=Path(cache), skip_broken=skip_broken, progress=progress)
    return DATASETS[name](path or None, options)


__all__ = ["DATASETS", "Dataset", "LoadOptions", "Split", "open_dataset"]
