"""Tables 1 and 2 of paper 2 (Xi 2022) as data: their rows, which networks of ours stand in them, what was published.

"ocl1" adds the method's parts one by one; "ocl2" puts it beside the literature, with SimCLR (the same pretraining
without the occluding rectangle) as the baseline that we train ourselves; "ocl-length", which is not in the paper, asks
what a longer pretraining is worth. `bench.tables.ocl.sheet` fills them from records.

>>> len(cells(OCL_TABLES["ocl1"], "synthetic", "cpu", seeds=1))
4
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from bench.records import Cell


@dataclass(frozen=True, kw_only=True)
class Line:
    """One row: a network of ours, a publication, or both."""

    label: str
    model: str = ""
    """Name in `bench.make.networks.NETWORKS`; empty where only published numbers stand."""
    against: str = ""
    """The network of the row that this one is compared with."""
    published: Mapping[str, float] = field(default_factory=dict)
    """Data set -> accuracy in percent, as the paper prints it."""


@dataclass(frozen=True, kw_only=True)
class OclTable:
    """One table."""

    name: str
    title: str
    lines: tuple[Line, ...]
    note: str
    """What a difference is the difference of."""
    whole: tuple[str, str] | None = None
    """Two networks whose difference is said as well: the method and where it began."""
    by_length: bool = False
    """Its rows are one network after pretrainings of different length."""

    @property
    def models(self) -> tuple[str, ...]:
        """The networks of ours, in the order of the rows."""
        return tuple(line.model for line in self.lines if line.model)

    @property
    def first(self) -> Line:
        """The first row of ours; the speed of the others is told beside its own."""
        return next(line for line in self.lines if line.model)

    def label(self, model: str) -> str:
        """What the row of a network is called."""
        return next(line.label for line in self.lines if line.model == model)


SOURCE = (
    "Xi, Fine-grained Occluded Facial Expression Recognition Based on Contrastive Learning, "
    "Computer Systems & Applications 2022, 31(11): 175-183, Tables 1 and 2"
)
PAPER_DATA = {"rafdb": "RAF-DB", "fer2013": "FER2013"}
"""The paper's two data sets, by the names they have here."""


def _both(rafdb: float, fer2013: float) -> dict[str, float]:
    return {"rafdb": rafdb, "fer2013": fer2013}


_OCL = "OCL + ResNet-18"
_BEGUN = Line(label="ResNet-18", model="resnet18", published=_both(84.67, 68.59))
_WHOLE = Line(label=f"{_OCL} + FGW + LGDS", model="ocl-fgw-lgds", published=_both(87.14, 71.63))

OCL_TABLES: dict[str, OclTable] = {
    "ocl1": OclTable(
        name="ocl1",
        title="Occlusion-aware pretraining, region features and deep supervision, one by one (paper 2, Table 1)",
        lines=(
            _BEGUN,
            Line(label=_OCL, model="ocl-resnet18", against="resnet18", published=_both(85.90, 70.51)),
            Line(label=f"{_OCL} + FGW", model="ocl-fgw", against="ocl-resnet18", published=_both(86.35, 70.96)),
            Line(label=_WHOLE.label, model=_WHOLE.model, against="ocl-fgw", published=_WHOLE.published),
        ),
        note="Difference: this network minus the one of the row above. All rows have the "
        "same schedule of supervised training.",
        whole=("ocl-fgw-lgds", "resnet18"),
    ),
    "ocl2": OclTable(
        name="ocl2",
        title="The whole method beside SimCLR and the literature (paper 2, Table 2)",
        lines=(
            Line(label="BLOCK-FRENET", published={"fer2013": 64.41}),
            Line(label="ALT", published=_both(84.55, 69.85)),
            Line(label="E-FCNN", published=_both(84.62, 66.17)),
            Line(label="IPA2LT", published={"rafdb": 86.77}),
            Line(label="PG-CNN", published={"rafdb": 83.27}),
            Line(label="gACNN", published={"rafdb": 85.07}),
            Line(label="OAENet", published={"rafdb": 85.69}),
            Line(label="RAN-ResNet18", published={"rafdb": 86.90}),
            Line(label="SimCLR + ResNet-18", model="simclr-resnet18", published=_both(85.76, 69.56)),
            Line(label=_OCL, model="ocl-resnet18", against="simclr-resnet18", published=_both(85.90, 70.51)),
            Line(label=_WHOLE.label, model=_WHOLE.model, against="ocl-resnet18", published=_WHOLE.published),
        ),
        note="Difference: this network minus the one of ours above it. SimCLR is pretrained as OCL is, without the "
        "occluding rectangle. The literature's numbers are those that the paper prints; nothing of it was run here.",
        whole=("ocl-fgw-lgds", "simclr-resnet18"),
    ),
    "ocl-length": OclTable(
        name="ocl-length",
        title="What a longer pretraining is worth (paper 2 pretrains for 800 epochs)",
        lines=(
            replace(_BEGUN, label="ResNet-18 from scratch", published={}),
            Line(label=f"{_OCL}, a sixth of the epochs", model="ocl-resnet18-sixth", against="resnet18"),
            Line(label=f"{_OCL}, a third", model="ocl-resnet18-third", against="resnet18"),
            Line(label=f"{_OCL}, two thirds", model="ocl-resnet18-two-thirds", against="resnet18"),
            Line(label=f"{_OCL}, the scale's own", model="ocl-resnet18", against="resnet18"),
            Line(label=f"{_OCL}, twice", model="ocl-resnet18-double", against="resnet18"),
        ),
        note="Difference: this network minus the one from scratch. Every pretraining has a schedule of its own, "
        "warm-up and cosine over its length; the supervised training after it is the same for all rows.",
        whole=("ocl-resnet18-double", "ocl-resnet18"),
        by_length=True,
    ),
}


def cells(table: OclTable, data: str, scale: str, seeds: int) -> list[Cell]:
    """Every cell of the table, all of seed 0 before any of seed 1.

    Raises:
        ValueError: fewer than one seed.
    """
    if seeds < 1:
        raise ValueError(f"seeds = {seeds}: give a number of seeds, at least 1")
    place = {"table": table.name, "data": data, "scale": scale, "variant": "dense", "ratio": 0.0}
    return [Cell(**place, model=model, seed=seed) for seed in range(seeds) for model in table.models]
