"""What stands in a record's `result`, typed: every key once, with its unit, and what is checked when a record is read.

Shares are 0 to 1, times milliseconds per batch. A key that a table does not measure is absent, or null where it asks
for it and there is nothing to tell.
"""

from typing import Annotated, Any, NotRequired, TypedDict

from msgspec import Meta

SINGLE = 1
BATCHES = (SINGLE, 32)
"""Batch sizes at which networks are timed, images: one face of a camera, and many at once."""
Share = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=0)]
Milliseconds = Annotated[float, Meta(gt=0)]
Predictions = Annotated[str, Meta(pattern=r"^[0-9A-Za-z]*\Z")]
"""One character for each image (`bench.measure.accuracy.digits`)."""


class Ratio(TypedDict):
    """This latency over the reference's, by paired turns: below 1 is faster."""

    ratio: Annotated[float, Meta(gt=0)]
    interval: tuple[float, float]


class Latency(TypedDict):
    """One network at one batch size; see `compress.timing.latency.Latency`."""

    p50_ms: Milliseconds
    p90_ms: Milliseconds
    noisy: bool
    threads: Annotated[int, Meta(ge=1)]
    runtime: str
    precision: str
    ratios: dict[str, Ratio]
    """By what it is compared with: "unpruned", "eager", "unpruned_eager", "plain", or the name of a network."""
    batch: NotRequired[Annotated[int, Meta(ge=1)]]
    p95_ms: NotRequired[Milliseconds]
    p99_ms: NotRequired[Milliseconds]
    n: NotRequired[Count]
    cv: NotRequired[Annotated[float, Meta(ge=0)]]
    samples_ms: NotRequired[list[Milliseconds]]
    images_per_s: NotRequired[float]
    per_turn: NotRequired[int]
    attempts: NotRequired[int]
    warmup_runs: NotRequired[int]
    stable: NotRequired[bool]
    load: NotRequired[dict[str, Any]]
    memory: NotRequired[dict[str, Any] | None]
    launch: NotRequired[dict[str, Any] | None]
    energy: NotRequired[dict[str, Any] | None]


class Accuracy(TypedDict):
    """See `bench.measure.accuracy.Accuracy`."""

    n: Annotated[int, Meta(ge=1)]
    correct: Count
    overall: Share
    interval: tuple[Share, Share]
    class_mean: Share
    macro_f1: Share
    majority: Share
    recall: dict[str, Share]
    confusion: list[list[Count]]
    predictions: Predictions
    absent: NotRequired[list[str]]


class Accuracies(TypedDict):
    """On the test split but for `validation`; `val_selected` is the headline."""

    val_selected: Accuracy
    last: NotRequired[Accuracy]
    best_on_test: NotRequired[Accuracy]
    flip: NotRequired[Accuracy | None]
    leak_free: NotRequired[Accuracy | None]
    validation: NotRequired[Accuracy]


class Cost(TypedDict):
    """Of one image, but for bytes and seconds."""

    params: Count
    macs: NotRequired[Count]
    """Absent: no counter counts a handcrafted feature."""
    weights_bytes: NotRequired[Count]
    artefact_bytes: NotRequired[Count]
    build_s: NotRequired[float]
    export_s: NotRequired[float]
    uncounted: NotRequired[dict[str, Count]]


class Data(TypedDict):
    """What was measured on."""

    name: str
    truth: Predictions
    classes: NotRequired[list[str]]
    counts: NotRequired[dict[str, Count]]
    notes: NotRequired[list[str]]
    licence: NotRequired[str]


class Result(TypedDict, total=False):
    """Everything measured of one cell; each table documents the parts that it alone has."""

    cost: Cost
    accuracy: Accuracies
    latency: dict[str, Latency]
    """By batch size."""
    runtimes: dict[str, Latency]
    """By "runtime precision", at batch 1 (`bench.tables.slimming`)."""
    data: Data
    training: dict[str, Any]
    """`stages`: the history of every stage that led here, by its name."""
    plan: dict[str, Any] | None
    """`compress.slimming.plan.Plan.summary`."""
    after_cut: dict[str, Accuracy] | None
    """Validation right after the cut, step by step."""
    gammas: dict[str, Any] | None
    missing: str | None
    """Why there is nothing to tell of a runtime."""
    agreement: Share
    precision_by_layer: dict[str, str]
    calibration: dict[str, Any]
    occluder: dict[str, Any]
    """One cover and the `accuracy` behind it (`bench.tables.networks.dense`)."""
    mask: dict[str, Any]
    attention: dict[str, float] | None
    attention_maps: dict[str, Any] | None
    bare: Predictions
    occluded: dict[str, dict[str, Any]]
    """Family -> level -> answers or shares of maps (`bench.tables.covers`)."""
    covered: dict[str, dict[str, Share]]
    lacking: dict[str, str]
    covers: dict[str, Any]
    examples: dict[str, str]
    fitted: dict[str, Any]


class Trained(TypedDict):
    """One training behind a record."""

    key: str
    """Digest of everything that decides its outcome."""
    commit: str
    """Of the code that trained it; "unknown" for trainings from before it was kept."""
