"""A bundle is whole and unchanged, or it is refused with the reason."""

import errno
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from serving.bundle import MANIFEST, Bundle, read_manifest, shipped_model
from serving.classifier import Classifier
from serving.errors import InputError
from serving.machine import Arithmetic, cpu_flags
from serving.onnx_model import OnnxModel


@pytest.fixture
def copy(tmp_path):
    """A copy of the model that ships, to spoil."""
    return shutil.copytree(shipped_model(), tmp_path / "bundle")


def change_manifest(folder, **values):
    path = folder / MANIFEST
    manifest = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(manifest | values), encoding="utf-8")


def refused(folder) -> InputError:
    with pytest.raises(InputError) as caught:
        Classifier.load(folder)
    assert str(caught.value).count("\n") == 1
    assert caught.value.exit_code == 2
    return caught.value


def test_a_model_that_ships_goes_by_its_name_unless_a_folder_has_it(tmp_path, monkeypatch):
    for name in ("default", "fast"):
        bundle = Bundle.load(Path(name))
        assert bundle.folder == shipped_model(name)
        assert bundle.manifest.name == name
    monkeypatch.chdir(tmp_path)
    (tmp_path / "default").mkdir()
    with pytest.raises(InputError, match="default: not a bundle"):
        Bundle.load(Path("default"))
    with pytest.raises(InputError, match="an included model: cascade, default, fast"):
        Bundle.load(Path("defualt"))


@pytest.mark.parametrize(("name", "megabytes"), [("default", 36), ("fast", 18)])
def test_the_models_that_ship_verify_and_are_small(name, megabytes):
    classifier = Classifier.load(shipped_model(name))
    manifest = classifier.bundle.manifest
    size = sum(path.stat().st_size for path in classifier.bundle.folder.iterdir())
    assert size < megabytes * 1e6
    assert manifest.scheme.names == (
        "attack_report",
        "claim",
        "denial",
        "official_response",
        "other",
    )
    assert manifest.golden_predictions
    assert manifest.normalizer.golden


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json", "config.json", "README.md"])
def test_one_flipped_bit_is_found_and_the_file_named(copy, name):
    path = copy / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert name in refused(copy).problem


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json", "config.json", MANIFEST])
def test_a_missing_file_is_named(copy, name):
    (copy / name).unlink()
    assert name in refused(copy).problem


def test_a_transformers_folder_without_onnx_is_refused(tmp_path):
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    (tmp_path / "model.safetensors").write_bytes(b"")
    assert "not a bundle" in refused(tmp_path).problem


def test_a_cut_manifest_is_refused(copy):
    path = copy / MANIFEST
    path.write_bytes(path.read_bytes()[:500])
    assert MANIFEST in refused(copy).problem


def test_an_unknown_key_is_refused(copy):
    change_manifest(copy, treshold=0.5)
    assert "treshold" in refused(copy).problem


def test_another_normaliser_version_is_refused(copy):
    stamp = Bundle.load(copy).manifest.normalizer.model_dump()
    change_manifest(copy, normalizer=stamp | {"version": 999})
    assert "999" in refused(copy).problem


def test_a_normaliser_that_writes_otherwise_is_refused(copy):
    stamp = Bundle.load(copy).manifest.normalizer.model_dump()
    change_manifest(copy, normalizer=stamp | {"golden": [["هجوم", "سلام"]]})
    assert "سلام" in refused(copy).problem


def test_a_bundle_that_scores_otherwise_is_refused(copy):
    golden = [g.model_dump() for g in Bundle.load(copy).manifest.golden_predictions]
    golden[0]["probabilities"] = golden[0]["probabilities"][::-1]
    change_manifest(copy, golden_predictions=golden)
    assert golden[0]["text"] in refused(copy).problem


def golden_here(folder, nudge=0.0, **arithmetic):
    """Stamp the bundle with what it says on this machine, one probability off by `nudge`."""
    answers = Classifier.load(folder).classify([g.text for g in golden_of(folder)])
    probabilities = [list(answer.probabilities.values()) for answer in answers]
    # Down where it would leave the range of a probability.
    probabilities[0][0] += -nudge if probabilities[0][0] > 0.5 else nudge
    golden = [
        {"text": item.text, "probabilities": row}
        for item, row in zip(golden_of(folder), probabilities, strict=True)
    ]
    stamp = Arithmetic.here().model_dump() | arithmetic
    change_manifest(folder, golden_predictions=golden, golden_arithmetic=stamp)


def golden_of(folder):
    return Bundle.load(folder).manifest.golden_predictions


def test_golden_predictions_come_out_again_bit_for_bit_on_any_number_of_threads(copy):
    golden_here(copy)
    for threads in (1, 2):
        Classifier.load(copy, threads=threads)


@pytest.mark.skipif(not cpu_flags(), reason="the processor's flags cannot be read here")
def test_the_least_difference_is_refused_on_the_machine_that_made_the_bundle(copy):
    golden_here(copy, nudge=1e-7)
    assert "bit for bit" in refused(copy).problem


@pytest.mark.parametrize(
    "elsewhere", [{"cpu_flags": ["i8mm"]}, {"cpu_flags": []}, {"onnxruntime": "0"}, {"numpy": "0"}]
)
def test_a_small_difference_is_let_pass_on_another_machine(copy, elsewhere):
    golden_here(copy, nudge=1e-3, **elsewhere)
    Classifier.load(copy)


def test_a_large_difference_is_refused_on_any_machine(copy):
    golden_here(copy, nudge=0.1, cpu_flags=["i8mm"])
    assert "bit for bit" not in refused(copy).problem


def test_bits_are_never_compared_where_the_processor_is_unknown():
    nowhere = Arithmetic(cpu_flags=(), onnxruntime="1", numpy="1")
    assert not nowhere.same_as(nowhere)


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"version": "1\r\nSet-Cookie: a=b"}, "version"),
        ({"version": "١٢"}, "version"),
        ({"version": ""}, "version"),
        ({"name": "a" * 101}, "name"),
        ({"temperature": 1e-300}, "temperature"),
        ({"temperature": 1e300}, "temperature"),
        ({"power": 0.0}, "power"),
        ({"max_length": 10**9}, "max_length"),
        ({"threshold": float("nan")}, "threshold"),
        ({"metrics": {"macro_f1": float("inf")}}, "metrics"),
        ({"golden_predictions": []}, "golden"),
        ({"golden_predictions": [{"text": "نفت", "probabilities": [2.0] * 5}]}, "probabilities"),
    ],
)
def test_a_value_out_of_its_range_is_refused_and_named(copy, values, word):
    change_manifest(copy, **values)
    assert word in refused(copy).problem


@pytest.mark.parametrize(
    "name",
    ["/etc/passwd", "../../etc/passwd", "a/../../b", "..", ".git/config", "a\\b", "a\nb", ""],
)
def test_a_file_name_that_leaves_the_folder_is_refused(copy, name):
    files = Bundle.load(copy).manifest.files
    change_manifest(copy, files=files | {name: "0" * 64})
    problem = refused(copy).problem
    assert "files" in problem
    assert problem.isprintable()


def test_a_link_out_of_the_bundle_is_refused_without_a_word_about_what_it_leads_to(copy, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("secret", encoding="utf-8")
    (copy / "README.md").unlink()
    (copy / "README.md").symlink_to(secret)
    problem = refused(copy).problem
    assert "leads out" in problem
    assert "sha256" not in problem


def test_a_link_within_the_bundle_is_followed(copy):
    (copy / "README.md").rename(copy / "card")
    (copy / "README.md").symlink_to("card")
    Classifier.load(copy)


def test_a_folder_that_may_not_be_entered_is_refused(copy, monkeypatch):
    def exists(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(type(copy), "exists", exists)  # the tests may run as root
    with pytest.raises(InputError) as caught:
        read_manifest(copy)
    assert "cannot be read (Permission denied)" in caught.value.problem


def test_a_graph_of_another_form_is_refused(copy, monkeypatch):
    monkeypatch.setattr(OnnxModel, "logits", lambda _, rows: np.zeros((len(rows), 4), np.float32))
    assert "does not score its golden sentences" in refused(copy).problem
