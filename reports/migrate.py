"""Brings records of schema 1 to schema 2, figures unchanged: python reports/migrate.py FOLDER ...

What changes: `ratio_to_dense` and `reference` become `ratios: {reference: ratio}`, comparisons lose their "to_", the
accuracy of a runtime stands under `val_selected` as everywhere, `data.spec_name` is `data.name`, the one occluder of a
whole network is `occluder`, what no counter counts is absent, and `lineage` names the trainings (by which commit is unknown).
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.records import dumps
from compress.files import write_atomic


def migrated(record: dict) -> dict:
    """The record in schema 2."""
    result = {**record["result"]}
    result["latency"] = {batch: _latency(one) for batch, one in result.get("latency", {}).items()}
    if "latency" not in record["result"]:
        del result["latency"]
    if "predictions" in (result.get("accuracy") or {}):
        result["accuracy"] = {"val_selected": result["accuracy"]}
    if "data" in result:
        data = {**result["data"]}
        result["data"] = data | {"name": data.pop("spec_name", data.get("name"))}
        result["data"].pop("spec_name", None)
    if "macs" in result.get("cost", {}) and result["cost"]["macs"] is None:
        result["cost"] = {name: count for name, count in result["cost"].items() if name != "macs"}
    if "accuracy" in result.get("occluded", {}):
        result["occluder"] = result.pop("occluded")
    return {**record, "result": result, "lineage": _lineage(record["config"]), "schema": 2}


def _latency(one: dict) -> dict:
    told = {**one}
    pair, reference = told.pop("ratio_to_dense", None), told.pop("reference", None)
    ratios = {name.removeprefix("to_"): ratio for name, ratio in told.get("ratios", {}).items()}
    if pair is not None:
        ratios[reference or "unpruned"] = pair
    return told | {"ratios": ratios}


def _lineage(config: dict) -> dict:
    stage = config.get("stage", {})
    settings = stage.get("settings", {})
    names = {"sparse": "dense"}
    found = {}
    if "pretraining" in settings:
        found["pretraining"] = settings["pretraining"]
    if "from" in settings:
        found[names.get(stage["stage"], "sparse")] = settings["from"]
    if "key" in config:
        found[stage["stage"]] = config["key"]
    return {name: {"key": key, "commit": "unknown"} for name, key in found.items()}


def main() -> None:
    """Rewrites every record of schema 1 below the folders given."""
    paths = [path for folder in sys.argv[1:] for path in sorted(Path(folder).rglob("*.json"))]
    done = 0
    for path in paths:
        record = json.loads(path.read_text())
        if record.get("schema") == 1:
            write_atomic(path, dumps(migrated(record)))
            done += 1
    print(f"{done} of {len(paths)} records brought to schema 2")


if __name__ == "__main__":
    main()
