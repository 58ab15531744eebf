"""`rasd validate`: what it calls well, what it refuses, and that it goes on after a bad file."""

import json
from pathlib import Path

import pytest

from serving.bundle import REQUIRED_FILES, Manifest, NormalizerStamp, sha256, write_manifest
from serving.labels import LabelScheme
from serving.text.normalize import GOLDEN_INPUTS, NORMALIZERS
from training.validate.run import validate

ROOT = Path(__file__).parents[3]
LABELS = ROOT / "configs/labels.yaml"


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.jsonl"
    path.write_text('{"text": "نفى الجيش الخبر", "label": "denial"}\n', encoding="utf-8")
    return path


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    path = tmp_path / "bad.csv"
    path.write_text("text,label\nنفى الجيش الخبر,denail\n", encoding="utf-8")
    return path


@pytest.fixture
def config(tmp_path: Path, good: Path) -> Path:
    """A configuration whose training files lack nothing."""
    scheme = LabelScheme.read(LABELS)
    rows = [{"text": f"خبر عن {name}", "label": name} for name in scheme.names]
    train = tmp_path / "train.jsonl"
    train.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    path = tmp_path / "job.yaml"
    path.write_text(
        f"""\
encoder: some/encoder
labels: {LABELS}
normalizer: light
data: {{train: [{train.name}], dev: [{good.name}]}}
optimisation: {{learning_rate: 1e-4}}
name: job
""",
        encoding="utf-8",
    )
    return path


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle as far as its verification looks: the graph itself is not run."""
    folder = tmp_path / "bundle"
    folder.mkdir()
    for name in REQUIRED_FILES:
        (folder / name).touch()
    light = NORMALIZERS["light"]
    golden = tuple((text, light.apply(text)) for text in GOLDEN_INPUTS)
    manifest = Manifest(
        name="tiny",
        version="3",
        scheme=LabelScheme.read(LABELS),
        normalizer=NormalizerStamp(name=light.name, version=light.version, golden=golden),
        max_length=128,
        temperature=1.0,
        threshold=0.5,
        golden_predictions=(),
        metrics={},
        provenance=None,
        files={name: sha256(folder / name) for name in REQUIRED_FILES},
    )
    write_manifest(folder, manifest)
    return folder


def test_good_files_are_summed_up(
    good: Path, config: Path, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert validate([good, config, bundle, LABELS], LABELS) == 0
    output = capsys.readouterr()
    assert output.err == ""
    names = "attack_report, claim, denial, official_response, other"
    counts = "attack_report 0, claim 0, denial 1, official_response 0, other 0"
    assert [line for line in output.out.splitlines() if line.startswith("ok")] == [
        f"ok  {good}: 1 sentence, {counts}",
        f"ok  {config}: trains some/encoder on 5 sentences, 1 held out",
        f"ok  {bundle}: bundle tiny@3, 5 labels: {names}",
        f"ok  {LABELS}: 5 labels: {names}",
    ]
    assert "    warning: " in output.out
    assert "no claim is held out" in output.out


def test_a_bad_file_does_not_hide_the_next(
    good: Path, bad: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = bad.with_name("missing.jsonl")
    assert validate([bad, good, missing], LABELS) == 2
    output = capsys.readouterr()
    assert output.out.startswith(f"ok  {good}")
    assert f'{bad}: line 2: unknown label "denail"' in output.err
    assert "Did you mean denial?" in output.err
    assert f"{missing}: cannot be read" in output.err


def test_warnings_beyond_three_are_counted(good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good.write_text(good.read_text(encoding="utf-8") * 26, encoding="utf-8")
    assert validate([good], LABELS) == 0
    output = capsys.readouterr().out
    assert output.count("warning: ") == 3
    assert "and 22 more warnings" in output


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (("dev: [good.jsonl]", "dev: [absent.jsonl]"), "absent.jsonl: cannot be read"),
        (("train: [train.jsonl]", "train: [good.jsonl]"), "no sentence to learn attack_report"),
        (("dev: [good.jsonl]", "dev: [bad.csv]"), 'bad.csv: line 2: unknown label "denail"'),
        (("some/encoder", "./absent"), "encoder: no folder"),
        (("labels.yaml", "scheme.yaml"), "scheme.yaml: cannot be read"),
        (("learning_rate", "learning_rat"), "line 5: unknown key optimisation.learning_rat"),
    ],
)
def test_a_configuration_is_checked_with_its_files(
    config: Path,
    bad: Path,
    change: tuple[str, str],
    problem: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    config.write_text(config.read_text(encoding="utf-8").replace(*change), encoding="utf-8")
    assert validate([config]) == 2
    assert problem in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "kind", "command"),
    [
        ("retrain", "a retraining configuration", "rasd retrain --config"),
        ("serve", "a service's configuration", "rasd serve --config"),
    ],
)
def test_a_configuration_of_another_command_is_named_with_it(
    name: str, kind: str, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = ROOT / "configs" / f"{name}.yaml"
    assert validate([path]) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first == f"rasd: {path} looks like {kind}"
    assert second.startswith(f"`{command}` ")


def test_a_damaged_bundle_is_refused(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (bundle / "model.onnx").write_text("something else", encoding="utf-8")
    assert validate([bundle]) == 2
    assert "model.onnx: damaged" in capsys.readouterr().err


def test_a_folder_that_is_no_bundle_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert validate([tmp_path]) == 2
    assert "not a bundle" in capsys.readouterr().err


def test_labels_are_checked_against_the_scheme_in_the_current_folder(
    good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs/labels.yaml").write_text(
        'labels:\n- {name: yes_, arabic: نعم, colour: "#000000"}\n'
        '- {name: no_, arabic: لا, colour: "#ffffff"}\n',
        encoding="utf-8",
    )
    monkeypatch.chdir(tmp_path)
    assert validate([good]) == 2
    assert "The labels are yes_, no_." in capsys.readouterr().err
