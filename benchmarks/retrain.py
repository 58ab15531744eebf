"""What a retraining gains: the second half of a labelled file, and corrections of one kind.

    python benchmarks/retrain.py halves --train FILE --dev FILE --out DIR
    python benchmarks/retrain.py denials --dev FILE --archive FILE --out DIR

`halves` divides a file by `source`. A model of three layers learns the first half; then `rasd
retrain` gets the second. `denials` gives `default` the dialect denials of `benchmarks/data` (--kind
says which) with `--quick`, and text of --archive to remember; --quarter 1 to 4 holds out another
quarter of them than the file does. Both measure champion and challenger on --dev, which no model
learns. All work and the report stay in DIR. Exit code 1 if the champion is kept.
"""

import argparse
import hashlib
import json
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from serving.bundle import shipped_model
from serving.classifier import Classifier
from serving.text.normalize import NORMALIZERS
from training.evaluate.measure import Evaluation, measure
from training.labelled.reading import read_labelled
from training.labelled.sentence import LabelledSentence

ROOT = Path(__file__).parents[1]
RASD = Path(sys.executable).with_name("rasd")
DENIALS = ROOT / "benchmarks" / "data"
KEPT = 3
# Few layers need a high learning rate; the champion has learned already, so half of it is enough.
FIRST = ("distill.layers=[0, 4, 8]", "optimisation.learning_rate=3e-4", "optimisation.epochs=3")
SECOND = {"learning_rate": 1.5e-4, "epochs": 2}

Row = dict[str, Any]


def main() -> None:
    """Run one of the two."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("halves", "denials"))
    parser.add_argument("--train", type=Path, metavar="FILE", help="of `halves`, with `source`")
    parser.add_argument("--dev", type=Path, required=True, metavar="FILE")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="a new folder")
    parser.add_argument(
        "--archive", type=Path, metavar="FILE", help="of `denials`: unlabelled text"
    )
    parser.add_argument(
        "--kind", choices=("dialect", "flat"), default="dialect", help="of `denials`: the file"
    )
    parser.add_argument(
        "--quarter", type=int, choices=(1, 2, 3, 4), help="of `denials`: the quarter to hold out"
    )
    parser.add_argument("--limit", type=int, metavar="N", help="sentences of each half")
    options = parser.parse_args()
    if options.what == "halves" and not options.train:
        parser.error("halves needs --train")
    options.out.mkdir(parents=True)
    if options.what == "halves":
        passed = halves(options.train, options.dev, options.out, options.limit)
    else:
        rows = read_rows(DENIALS / f"{options.kind}_denials.jsonl")
        if options.quarter:
            rows = held_out_by(rows, options.quarter)
        passed = denials(rows, options.dev, options.archive, options.out)
    sys.exit(not passed)


def halves(train: Path, dev: Path, out: Path, limit: int | None) -> bool:
    """Train on one half, retrain with the other, and print what it gains on `dev`."""
    files = []
    for number, (rows, sources) in enumerate(divided(read_rows(train)), 1):
        drawn = sorted(rows, key=lambda row: hashlib.sha256(row["text"].encode()).digest())[:limit]
        files.append(write_rows(out / f"half-{number}.jsonl", drawn))
        print(f"half {number}: {len(drawn):,} sentences of {sources} sources", flush=True)
    settings = [f"data.train=[{files[0]}]", "data.conflicts=first", "name=halves", *FIRST]
    given = [part for setting in settings for part in ("--set", setting)]
    rasd("train", ROOT / "configs" / "compact.yaml", *given, "--out", out / "first")
    base = {"base": [str(files[0])], "test": [str(dev.resolve())]}
    report = retrain(out, out / "first" / "bundle", files[1], base, full=SECOND)
    champion, challenger = figures(report, dev)
    told("dev macro-F1", champion.metrics.macro_f1, challenger.metrics.macro_f1)
    return bool(report["promoted"])


def denials(rows: Sequence[Row], dev: Path, archive: Path | None, out: Path) -> bool:
    """Correct `default` on denials, and print what it gains on others and loses on `dev`."""
    labelled = write_rows(out / "denials.jsonl", rows)
    base = {"test": [str(dev.resolve())], "archive": [str(archive.resolve())] if archive else []}
    report = retrain(out, shipped_model(), labelled, base, "--quick")
    held_out = [row for row in rows if row["split"] == "test"]
    before, after = figures(report, write_rows(out / "held-out.jsonl", held_out))
    for name, one, other in zip(
        before.metrics.labels,
        before.metrics.labels.values(),
        after.metrics.labels.values(),
        strict=True,
    ):
        if one.support:
            told(f"recall of {one.support} held-out {name}", one.recall, other.recall)
    before, after = figures(report, dev)
    told("dev macro-F1", before.metrics.macro_f1, after.metrics.macro_f1)
    told("dev recall of denial", *(e.metrics.labels["denial"].recall for e in (before, after)))
    return bool(report["promoted"])


def held_out_by(rows: Sequence[Row], quarter: int) -> list[Row]:
    """Return the rows with every fourth of each label held out, from the `quarter`th one on."""
    seen: Counter[str] = Counter()
    split = []
    for row in rows:
        side = "test" if seen[row["label"]] % 4 == quarter - 1 else "train"
        seen[row["label"]] += 1
        split.append({**row, "split": side})
    return split


def divided(rows: Sequence[Row]) -> list[tuple[list[Row], int]]:
    """Return two halves of about the same size and their numbers of sources; none is in both."""
    by_source = defaultdict(list)
    for row in rows:
        by_source[row["source"]].append(row)
    found: list[list[list[Row]]] = [[], []]
    for part in sorted(by_source.values(), key=len, reverse=True):
        min(found, key=lambda half: sum(map(len, half))).append(part)
    return [([row for part in half for row in part], len(half)) for half in found]


def retrain(
    out: Path, bundle: Path, labelled: Path, values: Row, *options: str, **recipes: Row
) -> Row:
    """Put a bundle in a registry, retrain it, and return the report with its folder."""
    config = yaml.safe_load((ROOT / "configs" / "retrain.yaml").read_text(encoding="utf-8"))
    config["base"] = [str((ROOT / "configs" / path).resolve()) for path in config["base"]]
    config |= {**values, "output": "work"}
    for recipe, changes in recipes.items():
        config[recipe]["optimisation"] |= changes
    (out / "retrain.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    registry = ("--registry", out / "registry")
    rasd("models", "add", bundle, "--name", "champion", *registry)
    rasd("models", "promote", "champion", *registry)
    rasd("retrain", labelled, "--config", out / "retrain.yaml", *registry, *options, fine=(0, KEPT))
    (path,) = out.glob("work/*/report/report.json")
    report: Row = json.loads(path.read_text(encoding="utf-8"))
    cost = report["cost"]
    print(
        f"\nverdict: {report['summary']}\nreport: {path.with_name('report.html')}\n"
        f"cost of the retraining: {cost['wall_seconds']:.0f} s and {cost['cpu_seconds']:.0f} CPU "
        f"seconds on {cost['cores']} cores, {cost['peak_mib']:.0f} MiB"
    )
    return report | {"models": (bundle, path.parents[1] / "challenger" / "bundle")}


def figures(report: Row, labelled: Path) -> list[Evaluation]:
    """Measure champion and challenger on a labelled file."""
    models = [Classifier.load(folder) for folder in report["models"]]
    return [measure(model, read(labelled, model)) for model in models]


def read(path: Path, model: Classifier) -> list[LabelledSentence]:
    """Read a labelled file; of duplicate texts keep the first."""
    normalize = NORMALIZERS[model.bundle.manifest.normalizer.name].apply
    return read_labelled([path], model.bundle.scheme, normalize, conflicts="first").sentences


def rasd(*arguments: object, fine: Sequence[int] = (0,)) -> None:
    """Run a command in the open; stop here if it fails."""
    print("$ rasd", *arguments, flush=True)
    code = subprocess.run([RASD, *map(str, arguments)], check=False).returncode
    if code not in fine:
        sys.exit(code)


def told(what: str, before: float, after: float) -> None:
    """Print one figure of both models."""
    print(f"{what}: {before:.4f} to {after:.4f} ({after - before:+.4f})", flush=True)


def read_rows(path: Path) -> list[Row]:
    """Return the objects of a JSON Lines file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def write_rows(path: Path, rows: Sequence[Row]) -> Path:
    """Write a JSON Lines file; return its full path."""
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_text("".join(lines), encoding="utf-8")
    return path.resolve()


if __name__ == "__main__":
    main()
