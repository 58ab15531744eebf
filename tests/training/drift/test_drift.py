"""`rasd drift`: quiet about the same news, loud about other news."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn")

from serving.bundle import Bundle, sha256, write_manifest
from serving.classifier import Classifier
from serving.cli import main
from serving.records import Record
from serving.reference import TOKEN_BUCKETS, Reference
from training.drift.compare import MEASURES, compare
from training.drift.profile import of_reference, profile, to_reference, unknown_id, width
from training.drift.run import FEWEST, _profiles

LABELS = 5
MIX = np.array([0.2, 0.15, 0.05, 0.15, 0.45])
UNKNOWN = 3


def world(seed: int, documents: int, **changed: object) -> np.ndarray:
    """Profiles (documents, width): documents of a few sentences, each on a subject of its own."""
    settings = {"mix": MIX, "confidence": 0.9, "unknown": 0.002, "shift": 0} | changed
    random = np.random.default_rng(seed)
    zipf = 1 / np.arange(1, 2001)
    blocks = np.zeros((documents, width(LABELS)), dtype=np.int64)
    for row in range(documents):
        subject = random.dirichlet(zipf / zipf.sum() * 200)
        leaning = random.dirichlet(np.asarray(settings["mix"]) * 8)
        for _ in range(random.integers(2, 9)):
            label = random.choice(LABELS, p=leaning)
            best = min(random.beta(9, 9 * (1 / settings["confidence"] - 1)) * 0.6 + 0.4, 0.999)
            shares = np.full(LABELS, (1 - best) / (LABELS - 1))
            shares[label] = best
            ids = (random.choice(2000, size=30, p=subject) + 10 + settings["shift"]).tolist()
            ids = [UNKNOWN if random.random() < settings["unknown"] else i for i in ids]
            blocks[row] += profile(shares, ids, UNKNOWN, certain=best > 0.8)
    return blocks


REFERENCE = world(0, 300).sum(axis=0)


def due(blocks: np.ndarray, seed: int = 0) -> list[str]:
    return [change.name for change in compare(blocks, REFERENCE, seed=seed) if change.due]


def test_at_most_one_archive_in_twenty_of_the_same_news_raises_an_alarm():
    drawn = world(1, 800)
    random = np.random.default_rng(2)
    alarms = [due(drawn[random.choice(len(drawn), 60, replace=False)], seed) for seed in range(40)]
    assert sum(map(bool, alarms)) <= 2


def test_nor_do_two_small_halves_of_the_same_news_often_raise_an_alarm():
    """The fewest documents that are compared: those of the reference have subjects too."""
    drawn = world(6, 800)
    random = np.random.default_rng(7)
    alarms = []
    for seed in range(40):
        one, other = np.split(drawn[random.choice(len(drawn), 2 * FEWEST, replace=False)], 2)
        alarms.append(any(change.due for change in compare(one, other, seed=seed)))
    assert sum(alarms) <= 2


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"mix": np.array([0.6, 0.1, 0.05, 0.05, 0.2])}, "label mix"),
        ({"confidence": 0.6}, "confidence"),
        ({"confidence": 0.6}, "uncertain"),
        ({"unknown": 0.05}, "unknown tokens"),
        ({"shift": 100}, "vocabulary"),
    ],
)
def test_each_kind_of_change_is_noticed_and_named(changed, name):
    assert name in due(world(3, 150, **changed))


def test_an_interval_holds_the_change_of_most_archives_of_other_news():
    changed = {"mix": np.array([0.5, 0.1, 0.05, 0.1, 0.25])}
    whole = world(4, 1500, **changed)
    truth = compare(whole, REFERENCE)[0].value
    random = np.random.default_rng(5)
    inside = 0
    for seed in range(30):
        part = whole[random.choice(len(whole), 60, replace=False)]
        change = compare(part, REFERENCE, seed=seed)[0]
        inside += change.low <= truth <= change.high
    assert inside >= 25


def test_a_reference_survives_the_manifest():
    stored = to_reference(REFERENCE)
    assert np.array_equal(of_reference(stored), REFERENCE)
    assert Reference.model_validate_json(stored.model_dump_json()) == stored
    assert sum(stored.labels) == sum(stored.confidence) >= stored.uncertain


def test_the_unknown_token_of_the_models_that_ship_is_known():
    for name in ("default", "fast"):
        path = Bundle.load(name).folder / "tokenizer.json"
        tokens = json.loads(path.read_text("utf-8"))["added_tokens"]
        assert {t["content"]: t["id"] for t in tokens}["<unk>"] == unknown_id(path)


# --- The command, with the model that ships ------------------------------------------------------


def write(path: Path, texts: list[str]) -> Path:
    rows = (json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts)
    path.write_text("".join(rows), "utf-8")
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory, authored) -> tuple[Path, Path, Path]:
    """Two files of the same kind of sentences, and one of strange ones."""
    folder = tmp_path_factory.mktemp("drift")
    texts = [row["text"] for row in authored if row["register"] == "newspaper"][:320]
    strange = [f"{text} 龍鳳 ꙮ Ⴀ" for text in texts[:160]]
    return (
        write(folder / "a.jsonl", texts[::2]),
        write(folder / "b.jsonl", texts[1::2]),
        write(folder / "c.jsonl", strange),
    )


def drift(*arguments: object) -> int:
    return main(["drift", *map(str, arguments), "--unit", "sentence"])


def test_the_same_kind_of_sentences_is_not_due_and_strange_ones_are(files, capsys):
    same, like, strange = files
    assert drift(like, "--reference", same, "--model", "fast", "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert not answer["retraining_due"]
    assert [change["name"] for change in answer["changes"]] == [m.name for m in MEASURES]
    assert all(change["low"] <= change["high"] for change in answer["changes"])
    assert drift(strange, "--reference", same, "--model", "fast") == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("Retraining is due:") and "unknown tokens" in last


def test_results_say_what_the_archive_says(files, tmp_path, capsys):
    same, like, _ = files
    results = tmp_path / "results.jsonl"
    options = ["-o", str(results), "--model", "fast", "--unit", "sentence"]
    assert main(["classify", str(like), *options]) == 0
    assert drift(like, "--reference", same, "--model", "fast") == 0
    direct = capsys.readouterr().out
    assert drift(results, "--reference", same, "--model", "fast") == 0
    assert capsys.readouterr().out == direct


def test_a_bundle_without_a_reference_asks_for_one(files, make_bundle, capsys):
    assert drift(files[0], "--model", str(make_bundle("without"))) == 2
    error = capsys.readouterr().err.splitlines()
    assert len(error) == 2
    assert "no reference" in error[0] and "--reference FILE" in error[1]


def test_the_reference_in_a_bundle_is_what_is_compared_with(files, make_bundle, capsys):
    bundle = make_bundle("drifting")
    loaded = Bundle.load(bundle)
    counts = np.zeros(width(len(loaded.scheme.names)), dtype=np.int64)
    rows = files[0].read_text("utf-8").splitlines()
    shares = np.array([0.025, 0.025, 0.9, 0.025, 0.025])
    for _ in rows:  # as if nearly all held-out sentences had been denials
        counts += profile(shares, [1] * 8, 1, certain=True)
    write_manifest(bundle, loaded.manifest.model_copy(update={"reference": to_reference(counts)}))
    assert sha256(bundle / "model.onnx") == loaded.manifest.files["model.onnx"]
    assert drift(files[0], "--model", bundle) == 0
    assert "label mix" in capsys.readouterr().out.splitlines()[-1]


def test_an_exported_bundle_is_compared_with_its_held_out_sentences(tiny_run, tmp_path, capsys):
    lines = (tiny_run / "checkpoint" / "held_out.jsonl").read_text("utf-8")
    stored = Bundle.load(tiny_run / "bundle").manifest.reference
    assert stored is not None
    assert sum(stored.labels) == len(lines.splitlines())
    (tmp_path / "three.jsonl").write_text(lines * 3, "utf-8")
    assert drift(tmp_path / "three.jsonl", "--model", tiny_run / "bundle") == 2
    assert "the reference in the bundle: " in capsys.readouterr().err

    bundle = tmp_path / "bundle"
    shutil.copytree(tiny_run / "bundle", bundle)
    larger = to_reference(of_reference(stored) * 3)
    write_manifest(bundle, Bundle.load(bundle).manifest.model_copy(update={"reference": larger}))
    assert drift(tmp_path / "three.jsonl", "--model", bundle, "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert not answer["retraining_due"]
    # A distance of 0 comes out below 0 once the share of chance is taken off.
    assert all(change["value"] < 0.02 for change in answer["changes"])


@pytest.mark.parametrize(("rows", "said"), [(1, "1 document"), (49, "49 documents")])
def test_too_few_documents_are_refused(files, tmp_path, capsys, rows, said):
    few = write(tmp_path / "few.jsonl", [f"قصف رقم {n}" for n in range(rows)])
    assert drift(few, "--reference", files[0], "--model", "fast") == 2
    assert f"{said} with text; a comparison needs 50" in capsys.readouterr().err


def test_too_few_sentences_on_either_side_are_refused(files, tmp_path, capsys):
    few = write(tmp_path / "few.jsonl", [f"قصف رقم {n}" for n in range(149)])
    for archive, reference in ((few, files[0]), (files[0], few)):
        assert drift(archive, "--reference", reference, "--model", "fast") == 2
        assert "few.jsonl: 149 sentences; a comparison needs 150" in capsys.readouterr().err


def test_results_of_another_model_are_refused(files, tmp_path, capsys):
    results = tmp_path / "results.jsonl"
    options = ["-o", str(results), "--model", "fast", "--unit", "sentence"]
    assert main(["classify", str(files[0]), *options]) == 0
    text = results.read_text("utf-8").replace("fast@", "slow@")
    results.write_text(text, "utf-8")
    assert drift(results, "--reference", files[0], "--model", "fast") == 2
    assert "was labelled by slow@" in capsys.readouterr().err


def test_tokens_are_counted_in_their_buckets():
    counts = profile(np.array([0.3, 0.7]), [0, 1, 1, TOKEN_BUCKETS + 1], 1, certain=False)
    assert counts[-TOKEN_BUCKETS:][:2].tolist() == [1, 3]
    assert to_reference(counts).unknown == 2
    assert to_reference(counts).uncertain == 1


def test_the_answers_of_a_cascade_are_certain_by_its_own_threshold():
    classifier = Classifier.load("cascade")
    threshold = classifier.bundle.manifest.threshold
    assert classifier.bundle.stages[0].manifest.threshold < threshold
    names = classifier.bundle.scheme.names
    for best, uncertain in ((threshold - 0.01, 1), (threshold + 0.01, 0)):
        shares = dict.fromkeys(names, (1 - best) / (LABELS - 1)) | {names[0]: best}
        text = "تبنت الجماعة الهجوم."
        record = Record("a", 0, 0, 9, text, names[0], best, True, shares, classifier.model)
        ((_, counts),) = _profiles([record], classifier)
        assert to_reference(counts).uncertain == uncertain
