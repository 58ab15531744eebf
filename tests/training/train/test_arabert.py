"""AraBERT's own shape and tokenizer, from the configuration that ships to labels.

RASD_ARABERT names a folder with AraBERT v02's config.json and tokenizer files, which are not ours
to ship; the weights are random. The same way with a tiny encoder is always run in test_pipeline.py.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")

from serving.onnx_model import load_tokenizer, tokenize
from serving.text.normalize import NORMALIZERS

ROOT = Path(__file__).parents[3]
RASD = Path(sys.executable).with_name("rasd")
FOLDER = os.environ.get("RASD_ARABERT", "")

pytestmark = pytest.mark.skipif(
    not FOLDER, reason="RASD_ARABERT names no folder with AraBERT v02's config and tokenizer"
)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory) -> Path:
    """An untrained encoder of the full size, with the real tokenizer."""
    from transformers import AutoConfig, AutoTokenizer, BertModel

    folder = tmp_path_factory.mktemp("arabert")
    BertModel(AutoConfig.from_pretrained(FOLDER), add_pooling_layer=False).save_pretrained(folder)
    AutoTokenizer.from_pretrained(FOLDER).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def bundle(encoder, authored, tmp_path_factory) -> Path:
    """What a few steps of `rasd train configs/arabert.yaml` leave."""
    folder = tmp_path_factory.mktemp("run")
    data = folder / "labelled.jsonl"
    rows = sorted(authored[:300], key=lambda row: len(row["text"]))[:48]
    data.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    settings = [
        f"encoder={encoder}",
        f"data.train=[{data}]",
        "data.dev_fraction=0.3",
        "optimisation.epochs=1",
        "optimisation.batch_size=16",
        "export.min_agreement=0",  # three steps from random weights: the labels are a toss-up
    ]
    options = [part for setting in settings for part in ("--set", setting)]
    run = subprocess.run(
        [RASD, "train", "configs/arabert.yaml", "--out", folder / "out", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return folder / "out" / "bundle"


@pytest.mark.timeout(1200)
def test_the_bundle_labels_and_transformers_reads_it(bundle):
    from transformers import AutoConfig, AutoTokenizer

    run = subprocess.run(
        [RASD, "classify", "-", "--model", bundle, "--format", "jsonl"],
        input="نفت الجماعة مسؤوليتها عن الهجوم.",
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout)["label"] in AutoConfig.from_pretrained(bundle).label2id
    assert AutoConfig.from_pretrained(bundle).num_hidden_layers == 12
    assert len(AutoTokenizer.from_pretrained(bundle)) == 64_000


def test_token_ids_are_those_of_araberts_own_preprocessing_and_tokenizer(authored):
    from arabert.preprocess import ArabertPreprocessor
    from transformers import AutoTokenizer

    theirs = ArabertPreprocessor(model_name="bert-base-arabertv02")
    texts = [row["text"] for row in authored]
    expected = AutoTokenizer.from_pretrained(FOLDER)(
        [theirs.preprocess(text) for text in texts], truncation=True, max_length=128
    )["input_ids"]
    tokenizer = load_tokenizer(Path(FOLDER) / "tokenizer.json", max_length=128)
    ours = tokenize(tokenizer, [NORMALIZERS["arabert"].apply(text) for text in texts])
    different = {text for text, a, b in zip(texts, expected, ours, strict=True) if list(b.ids) != a}
    # AraBERT's own rules delete these letters; ours write their Arabic neighbours.
    assert different == {text for text in texts if set(text) & set("گچپڤ")}
    assert len(different) < 3
