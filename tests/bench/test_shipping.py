"""The panel of runtimes in Table 5: the fastest of each precision, and nothing where nothing was measured."""

import json
from pathlib import Path

import pytest

from bench import records
from bench.pages.markdown import markdown
from bench.registry import TABLES, page_of

ROOT = Path(__file__).parents[2] / "reports" / "records"
PLACE = {"data": "fer2013", "scale": "cpu"}
TITLE = "F. In deployment runtimes"


@pytest.fixture(scope="module")
def page():
    found = records.load_all(ROOT, table="table5", beside=TABLES["table5"].beside, **PLACE)
    return page_of("table5", found, **PLACE)


@pytest.mark.parametrize(("network", "model", "ratio"), [("MRF", "mrf", "60"), ("VGGNet", "vggnet", "80")])
@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8"])
@pytest.mark.parametrize("batch", ["1", "32"])
def test_it_tells_the_fastest_runtime_of_a_precision(page, network, model, ratio, precision, batch) -> None:
    part = page.parts[-1]
    assert part.title == TITLE
    row = next(row for row in part.body if row[:2] == [network, f"{ratio} %"])
    told = row[part.titles.index(f"Batch {batch}, {precision}: ms")]
    measured = {}
    for path in (ROOT / "runtimes/fer2013/cpu").glob(f"{model}-slim-{ratio}-s0-*-{precision}.json"):
        content = json.loads(path.read_text())
        if content["result"]["latency"] and (content["cell"]["runtime"], precision) != ("torch", "fp32"):
            measured[content["cell"]["runtime"]] = content["result"]["latency"][batch]
    name = min(measured, key=lambda one: measured[one]["p50_ms"])
    best = measured[name]
    assert told == f"{best['p50_ms']:.2f} ({1 / best['ratios']['unpruned_eager']['ratio']:.1f}x, {name})"


def test_eager_pytorch_in_bf16_may_win_but_not_in_fp32(page) -> None:
    for row in page.parts[-1].body:
        for title, told in zip(page.parts[-1].titles, row, strict=True):
            assert not (title.endswith("fp32: ms") and ", torch)" in told)


def test_without_records_of_runtimes_there_is_no_panel() -> None:
    found = records.load_all(ROOT, table="table5", **PLACE)
    assert TITLE not in markdown(page_of("table5", found, **PLACE))
