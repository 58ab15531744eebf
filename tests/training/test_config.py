"""The training configurations that ship, and what is said of one that is wrong."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from serving.errors import InputError
from serving.text.normalize import NORMALIZERS
from training.config import SHIPPED_ENCODER_ID, TrainConfig, encoder_to_load, load_config
from training.retrain.config import load_retrain_config

CONFIGS = Path(__file__).parents[2] / "configs"
COMPACT, ARABERT, FAST = (CONFIGS / f"{name}.yaml" for name in ("compact", "arabert", "fast"))
SHIPPED = [COMPACT, ARABERT, FAST]
# What a configuration must say for itself: without a default, or one that would be a guess.
OWN = {"encoder", "encoder_credit", "license", "labels", "normalizer", "output", "name"}

MINIMAL = """\
encoder: some/encoder
labels: labels.yaml
normalizer: light
data:
  train: [a.jsonl]
optimisation:
  learning_rate: 1e-4
name: mine
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def refused(path: Path, *overrides: str) -> InputError:
    with pytest.raises(InputError) as caught:
        load_config(path, overrides)
    return caught.value


def keys_of(model: type[BaseModel], group: str = "") -> set[str]:
    keys = set()
    for name, field in model.model_fields.items():
        keys.add(group + name)
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            keys |= keys_of(field.annotation, f"{group}{name}.")
    return keys


def keys_in(values: dict, group: str = "") -> set[str]:
    keys = set()
    for name, value in values.items():
        keys.add(group + name)
        if isinstance(value, dict):
            keys |= keys_in(value, f"{group}{name}.")
    return keys


# --- What ships --------------------------------------------------------------------------------


def test_compact_yaml_has_every_key_with_its_default(tmp_path: Path) -> None:
    values = yaml.safe_load(COMPACT.read_text(encoding="utf-8"))
    assert keys_in(values) == keys_of(TrainConfig)
    compact = load_config(COMPACT).model_dump(exclude=OWN)
    least = load_config(written(tmp_path, MINIMAL)).model_dump(exclude=OWN)
    least["data"]["train"] = compact["data"]["train"]
    least["optimisation"]["learning_rate"] = compact["optimisation"]["learning_rate"]
    assert compact == least


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_configuration_finds_its_files(path: Path) -> None:
    config = load_config(path)
    assert config.normalizer in NORMALIZERS
    assert config.labels.is_file()
    assert all(file.is_file() for file in (*config.data.train, *config.data.dev))
    assert config.name == path.stem


def test_the_small_students_configuration_names_a_teacher_and_fewer_layers() -> None:
    config = load_config(FAST)
    assert config.distill.teachers
    assert config.distill.layers
    assert config.name == "fast"


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_key_of_a_shipped_configuration_is_explained(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    for before, line in pairwise(lines):
        if ":" in line and not line.lstrip().startswith("#") and not line.endswith(":"):
            assert before.lstrip().startswith("# "), f"no comment above {line!r}"


# --- What is read ------------------------------------------------------------------------------


def test_paths_are_relative_to_the_file_and_in_overrides_to_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "configs").mkdir()
    text = MINIMAL.replace("labels.yaml", "../labels.yaml") + "output: out\n"
    text = text.replace("[a.jsonl]", "[a.jsonl]\n  corrections: [a.jsonl]")
    path = written(tmp_path / "configs", text)
    monkeypatch.chdir(tmp_path)
    config = load_config(path, ["data.dev=[dev/b.jsonl,/c.jsonl]"])
    assert config.labels == tmp_path / "labels.yaml"
    assert config.data.train == (tmp_path / "configs/a.jsonl",)
    assert config.data.corrections == config.data.train
    assert config.output == tmp_path / "configs/out"
    assert config.data.dev == (Path("dev/b.jsonl"), Path("/c.jsonl"))


def test_the_output_is_named_after_the_file(tmp_path: Path) -> None:
    assert load_config(written(tmp_path, MINIMAL)).output == Path("runs/mine")


def test_an_override_leaves_its_neighbours_alone(tmp_path: Path) -> None:
    path = written(tmp_path, MINIMAL)
    config = load_config(path, ["optimisation.epochs=7", "encoder_revision=null", "name='2026'"])
    assert config.optimisation.epochs == 7
    assert config.optimisation.learning_rate == 1e-4
    assert config.name == "2026"


def test_an_encoder_is_a_hub_id_or_a_folder(tmp_path: Path) -> None:
    path = written(tmp_path, MINIMAL)
    assert encoder_to_load(load_config(path).encoder) == "some/encoder"
    (tmp_path / "some/encoder").mkdir(parents=True)
    assert encoder_to_load(load_config(path).encoder) == tmp_path / "some/encoder"


@pytest.mark.parametrize("name", ["./absent", "runs/absent/checkpoint", "~/absent"])
def test_a_folder_that_is_missing_is_an_error_not_another_encoder(
    tmp_path: Path, name: str
) -> None:
    config = load_config(COMPACT, [f"encoder={name}"])
    with pytest.raises(InputError, match=r"encoder: no folder .*absent"):
        encoder_to_load(config.encoder)
    config = load_config(written(tmp_path, MINIMAL.replace("some/encoder", name)))
    with pytest.raises(InputError, match=r"encoder: no folder .*absent"):
        encoder_to_load(config.encoder)


def test_only_the_encoder_of_the_default_model_is_looked_for_on_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "training" / "encoder"
    monkeypatch.setattr("training.config.SHIPPED_ENCODER", here)
    config = load_config(written(tmp_path, MINIMAL.replace("some/encoder", "./training/encoder")))
    assert encoder_to_load(config.encoder) == SHIPPED_ENCODER_ID
    here.mkdir(parents=True)
    assert encoder_to_load(config.encoder) == here


# --- What is refused ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "problem", "remedy"),
    [
        (("  train:", "  trian:"), "line 5: unknown key data.trian", "Did you mean train?"),
        (("light", "lihgt"), "line 3: normalizer is 'lihgt'", "light or arabert"),
        (("1e-4", "3"), "line 7: optimisation.learning_rate is 3", "above 0"),
        (("1e-4", ".nan"), "optimisation.learning_rate is nan", "above 0"),
        (("[a.jsonl]", "a.jsonl"), "line 5: data.train is", "a list"),
        (("[a.jsonl]", "[]"), "line 5: data.train is []", "one or more"),
        (("[a.jsonl]", "[a.jsonl, 3]"), "line 5: data.train is 3", "a list"),
        (("name: mine", "name: my model"), "line 8: name is 'my model'", "letters, digits"),
        (("some/encoder", "3"), "line 1: encoder is 3", "a folder or a hub id"),
        (("name: mine\n", ""), "no key name", "Add it"),
        (("learning_rate", "epochs: 1\n  epochs"), "line 8: optimisation.epochs is on", "one of"),
        (("data:\n  train: [a.jsonl]", "data:"), "line 4: data is None", "group of keys"),
        (("normalizer: light", "normalizer: [light"), "line 4: not YAML", "compact.yaml"),
        ((MINIMAL, "just text"), "holds no keys", "compact.yaml"),
        ((MINIMAL, ""), "holds no keys", "compact.yaml"),
        ((MINIMAL, "a: \x01"), "not YAML", "compact.yaml"),
    ],
)
def test_a_mistake_is_told_with_its_line(
    tmp_path: Path, change: tuple[str, str], problem: str, remedy: str
) -> None:
    path = written(tmp_path, MINIMAL.replace(*change))
    error = str(refused(path))
    assert str(path) in error
    assert problem in error
    assert remedy in error


def test_a_value_that_fits_neither_of_two_types_is_told_once(tmp_path: Path) -> None:
    error = refused(written(tmp_path, MINIMAL.replace("some/encoder", "3")))
    assert str(error).count("\n") == 1


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    text = MINIMAL.replace("light", "lihgt").replace("1e-4", "-1") + "max_length: 4\n"
    *problems, _ = str(refused(written(tmp_path, text))).splitlines()
    assert [line.split(":")[1] for line in problems] == [" line 3", " line 9", " line 7"]


@pytest.mark.parametrize(
    ("override", "problem", "remedy"),
    [
        ("optimisation.epoch=1", "unknown key optimisation.epoch", "Did you mean epochs?"),
        ("optimisation.foo.bar=1", "unknown key optimisation.foo", "The keys here are"),
        ("max_length=1024", "max_length is 1024", "8 to 512"),
        ("data=3", "data is 3", "group of keys"),
        ("data.train.0=b.jsonl", "data.train is {'0': 'b.jsonl'}", "a list"),
        ("max_length", "not of the form key=value", "Write it as"),
        ("data..train=[]", "not of the form key=value", "Write it as"),
        ("data.train=[", "the value is not YAML", "Write it as"),
        ("distill.layers=[2, 0]", "distill.layers is [2, 0]", "from the bottom up"),
        ("distill.layers=[0, 0]", "distill.layers is [0, 0]", "each layer once"),
        (
            "distill.unlabelled=[a.txt]",
            "distill.unlabelled is ['a.txt']",
            "a teacher must label them",
        ),
        ("optimisation.early_stopping=on", "optimisation.early_stopping is True", "not true or"),
        ("distill.unlabelled=a.txt", "distill.unlabelled is 'a.txt'", "as in [archive.jsonl"),
    ],
)
def test_a_mistake_in_an_override_names_the_override(
    tmp_path: Path, override: str, problem: str, remedy: str
) -> None:
    error = refused(written(tmp_path, MINIMAL), "optimisation.seed=3", override)
    assert error.problem == f"--set {override}: {problem}"
    assert remedy in error.remedy


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    assert "No such file" in refused(tmp_path / "none.yaml").problem
    path = tmp_path / "a.yaml"
    path.write_bytes("name: نفي".encode("cp1256"))
    assert "not YAML" in refused(path).problem


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(sorted(keys_of(TrainConfig) | {"train", "dev", "epochs"}))
            | st.integers(),
            inner,
            max_size=4,
        )
    ),
    max_leaves=15,
)


@settings(deadline=None, max_examples=200)
@given(text=values.map(yaml.safe_dump) | st.text("-:[]{}&*!|>'\"\n \tdata", max_size=30))
def test_whatever_a_file_holds_it_is_refused_in_words(
    text: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = written(tmp_path_factory.mktemp("any"), text)
    error = refused(path)
    assert str(path) in error.problem
    assert error.remedy


@pytest.mark.parametrize(
    ("load", "file", "says"),
    [
        (
            load_config,
            "serve.yaml",
            "a service's configuration\n`rasd serve --config` checks and uses it. `rasd train` ",
        ),
        (
            load_config,
            "retrain.yaml",
            "a retraining configuration\n`rasd retrain --config` uses it, and with --dry-run only "
            "checks it. `rasd train` needs one like configs/compact.yaml.",
        ),
        (
            load_retrain_config,
            "compact.yaml",
            "a training configuration\n`rasd train` uses it, and `rasd validate` checks it. "
            "`rasd retrain` needs one like configs/retrain.yaml.",
        ),
        (load_retrain_config, "fast.yaml", "a training configuration\n"),
        (load_retrain_config, "serve.yaml", "a service's configuration\n"),
        (load_retrain_config, "container.yaml", "a service's configuration\n"),
    ],
)
def test_a_configuration_of_another_command_is_recognised(
    load: Callable[[Path], object], file: str, says: str
) -> None:
    with pytest.raises(InputError) as caught:
        load(CONFIGS / file)
    assert str(caught.value).startswith(f"{CONFIGS / file} looks like {says}")
    assert str(caught.value).count("\n") == 1
