"""One record of the methods beside the unpruned network of its seed."""

from collections.abc import Mapping
from dataclasses import dataclass

from bench.pages.values import difference_values
from bench.records import Record
from bench.tables.ratios.definitions import RATIO_TABLES, named
from bench.tables.slimming.rows import BACKENDS

MODELS = RATIO_TABLES["table5"].models
BACKEND_NAMES = tuple(" ".join(backend) for backend in BACKENDS)


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One record beside the unpruned network of its seed."""

    record: Record
    whole: Record | None

    @property
    def name(self) -> str:
        """The network's model, with its seed where that is not the first."""
        return named(self.record.cell)

    @property
    def percent(self) -> float:
        return 100 * self.record.result["accuracy"]["val_selected"]["overall"]

    @property
    def interval(self) -> tuple[float, float]:
        """Ends of the 95 % interval of `percent`."""
        low, high = self.record.result["accuracy"]["val_selected"]["interval"]
        return 100 * low, 100 * high

    @property
    def difference(self) -> Mapping[str, float] | None:
        """points, lo, hi, p against the unpruned network; None for itself, or where that is missing."""
        return None if self.whole in (None, self.record) else against(self.record, self.whole)

    def validation(self, step: str) -> float | None:
        """Accuracy in percent right after a step of the cut."""
        after = self.record.result["after_cut"] or {}
        return 100 * after[step]["overall"] if step in after else None

    def at(self, axis: str) -> float | None:
        """Where the network lies on one of `AXES`."""
        if axis != "ms":
            return self.record.result["cost"][axis]
        return self.ms(BACKEND_NAMES[0])

    def ms(self, kind: str) -> float | None:
        found = self.record.result.get("runtimes", {}).get(kind)
        return found["p50_ms"] if found else None


def against(record: Record, other: Record) -> Mapping[str, float]:
    """points, lo, hi and p of `record` minus `other`."""
    found = difference_values(record, other, "d", "p")
    return {name.removeprefix("d_"): value for name, value in found.items()}
