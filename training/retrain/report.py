"""The report of a retraining: `report.html` for people, `report.json` for programs."""

import json
import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from serving.atomic import atomic_folder
from serving.labels import LabelScheme
from training.environment import environment
from training.evaluate.behaviour import KindResult
from training.evaluate.measure import SliceMetrics
from training.retrain.compare import Result

REPORT = "report"
_FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Cost:
    """What the command used. After a kill, only what the last call used."""

    cpu_seconds: float
    wall_seconds: float
    peak_mib: float
    cores: int


def write_report(
    out: Path, result: Result, scheme: LabelScheme, *, cost: Cost, command: Sequence[str]
) -> Path:
    """Write `report.html` and `report.json` into the folder `out`, both or none; return it."""
    counts = result.counts
    record: dict[str, Any] = {
        "promoted": result.promoted,
        "summary": result.summary(),
        "champion": result.champion,
        "challenger": result.challenger,
        "checks": [asdict(check) for check in result.checks],
        "sentences": asdict(counts),
        "comparison": asdict(result.comparison),
        "slices": [
            {
                "dimension": old.dimension,
                "value": old.value,
                "sentences": old.sentences,
                "champion": old.accuracy,
                "challenger": new.accuracy,
            }
            for old, new in _slices(result)
        ],
        "behaviour": [
            {"kind": old.kind, "cases": old.cases, "champion": old.passed, "challenger": new.passed}
            for old, new in _behaviour(result)
        ],
        "changed": [asdict(changed) for changed in result.changed],
        "cost": asdict(cost),
        "environment": environment().model_dump(mode="json"),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join(command),
    }
    templates = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = templates.get_template("retraining.html").render(
        result=result,
        record=record,
        counts=counts,
        cost=cost,
        slices=_slices(result),
        behaviour=_behaviour(result),
        arabic={label.name: label.arabic for label in scheme.labels},
    )
    with atomic_folder(out) as folder:
        (folder / "report.html").write_text(page, encoding="utf-8")
        text = json.dumps(record, ensure_ascii=False, indent=1)
        (folder / "report.json").write_text(text + "\n", encoding="utf-8")
    return out


def _slices(result: Result) -> list[tuple[SliceMetrics, SliceMetrics]]:
    """Return the subgroups of both models, champion first."""
    old, new = ({(p.dimension, p.value): p for p in t.evaluation.slices} for t in result.tried)
    return [(part, new[key]) for key, part in old.items() if key in new]


def _behaviour(result: Result) -> list[tuple[KindResult, KindResult]]:
    old, new = (tried.behaviour for tried in result.tried)
    return list(zip(old, new, strict=True))
