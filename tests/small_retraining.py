"""A configuration of `rasd retrain` with little of everything, for tests with real processes."""

import json
from collections.abc import Sequence
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
# 150 denials in dialect to learn and 50 held out, with some sentences of other labels.
DENIALS = ROOT / "benchmarks" / "data" / "dialect_denials.jsonl"
REMEMBERED = 64  # sentences of the archive, where a test gives one


def write_config(folder: Path, base: Sequence[dict[str, str]], **changes: object) -> Path:
    """Write `retrain.yaml`, whose output folder is `out` beside it; `base` is labelled rows."""
    values = yaml.safe_load((ROOT / "configs" / "retrain.yaml").read_text(encoding="utf-8"))
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in base)
    (folder / "base.jsonl").write_text("".join(lines), encoding="utf-8")
    values |= {"base": ["base.jsonl"], "behaviour": None, "output": "out", **changes}
    values["quick"] |= {"replay": 0.5, "remembered": REMEMBERED}
    values["quick"]["optimisation"] |= {
        "epochs": 2,
        "learning_rate": 5e-4,
        "batch_size": 16,
        "checkpoint_steps": 5,
    }
    # What is tested is how the command ends, not how well so little training does.
    values["gate"] |= {"max_macro_f1_drop": 0.1, "max_recall_drop": 0.3, "max_ece_rise": 0.2}
    values["gate"]["max_recall_drop_by_label"] = {}
    values["gate"]["max_slowdown"] = 3
    path = folder / "retrain.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path
