"""Fixtures for both packages: the authored sentences, a tiny encoder and a short training run."""

import json
import signal
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from postgresql_cluster import PostgreSQL, cluster, installed

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session", autouse=True)
def interruptible() -> None:
    """Let SIGINT and SIGHUP end the tests and the processes that they start.

    A shell ignores SIGINT for commands in the background of a script, `nohup` ignores SIGHUP, and
    child processes inherit that.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """A real PostgreSQL for all tests; skips where it is not installed."""
    initdb = installed()
    if initdb is None:
        pytest.skip("PostgreSQL is not installed (apt-get install postgresql)")
    with cluster(initdb) as running:
        yield running


@pytest.fixture(scope="session")
def authored() -> list[dict[str, str]]:
    """The labelled sentences of data/authored.jsonl."""
    lines = (ROOT / "data" / "authored.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


@pytest.fixture
def write_results(tmp_path) -> Callable[..., Path]:
    """Write records as `rasd classify` does, each with a text and label unless it has its own."""
    names = ("attack_report", "claim", "denial", "official_response", "other")

    def result(
        text: str = "نفت الوزارة ذلك.", label: str = "denial", **values: Any
    ) -> dict[str, Any]:
        probability = values.get("probability", 0.9)
        standard = {
            "doc_id": "a",
            "sentence": 0,
            "start": 0,
            "end": len(text),
            "text": text,
            "label": label,
            "probability": probability,
            "certain": bool(probability and probability >= 0.7),
            "probabilities": dict.fromkeys(names, 0.0) | {label: probability},
            "model": "fast@0",
        }
        return standard | values

    def write(results: Iterable[dict[str, Any]], name: str = "results.jsonl") -> Path:
        path = tmp_path / name
        with path.open("w", encoding="utf-8") as file:
            file.writelines(
                json.dumps(result(**values), ensure_ascii=False) + "\n" for values in results
            )
        return path

    return write


@pytest.fixture(scope="session")
def tiny_encoder(authored, tmp_path_factory) -> Path:
    """An encoder of AraBERT's architecture and tokenizer form, two layers of width 32, untrained.

    Its tokens are learned from data/authored.jsonl.
    """
    torch = pytest.importorskip("torch")
    from tokenizers import BertWordPieceTokenizer
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("encoder")
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[رابط]", "[بريد]", "[مستخدم]"]
    pieces = BertWordPieceTokenizer(lowercase=False, strip_accents=False)
    pieces.train_from_iterator(
        (row["text"] for row in authored), vocab_size=1000, special_tokens=special
    )
    pieces.save_model(str(folder))
    BertTokenizerFast(
        str(folder / "vocab.txt"), do_lower_case=False, additional_special_tokens=special[5:]
    ).save_pretrained(folder)
    config = BertConfig(
        vocab_size=pieces.get_vocab_size(),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    torch.manual_seed(1)
    BertModel(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_run(authored, tiny_encoder, tmp_path_factory) -> Path:
    """The output of one short `rasd train`: `bundle/` and `checkpoint/`, with poor labels."""
    from training.config import load_config
    from training.train.run import train

    folder = tmp_path_factory.mktemp("run")
    labelled = folder / "labelled.jsonl"
    labelled.write_text(
        "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in authored[:300]),
        encoding="utf-8",
    )
    config = load_config(
        ROOT / "configs" / "arabert.yaml",
        [
            f"encoder={tiny_encoder}",
            f"data.train=[{labelled}]",
            "max_length=48",
            "export.min_agreement=0.9",  # nearly untrained: many labels are undecided
            "optimisation.epochs=2",
            "optimisation.average_last=0.5",
            "data.dev_fraction=0.3",
        ],
    )
    train(config, folder / "out", command=["rasd", "train", "configs/arabert.yaml"])
    return folder / "out"


@pytest.fixture(scope="session")
def tiny_bundle(tiny_run) -> Path:
    """The bundle of `tiny_run`."""
    return tiny_run / "bundle"
