"""A bundle whose answers can be told ahead, and tiny encoders with a text to trim them to."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from serving.bundle import (
    Bundle,
    GoldenPrediction,
    Manifest,
    NormalizerStamp,
    sha256,
    write_manifest,
)
from serving.classifier import Classifier
from serving.labels import Label, LabelScheme
from serving.text.normalize import NORMALIZERS

SCHEME = LabelScheme(
    labels=tuple(
        Label(name=name, arabic=arabic, colour="#777777")
        for name, arabic in (
            ("attack_report", "تقرير عن هجوم"),
            ("claim", "تبنٍّ أو ادعاء"),
            ("denial", "نفي"),
            ("official_response", "رد رسمي"),
            ("other", "غير ذلك"),
        )
    )
)
CUES = {"انفجار": "attack_report", "تبنت": "claim", "نفت": "denial", "دانت": "official_response"}
THRESHOLD = 0.8
LINES = 150  # of the sentences that ship, what the tiny encoders are trimmed to


@pytest.fixture(scope="session")
def scheme():
    return SCHEME


@pytest.fixture(scope="session")
def make_bundle(tmp_path_factory):
    """Make a bundle whose graph adds up one vector a cue word."""

    def make(name, cues=CUES, scheme=SCHEME, temperature=1.0, power=1.0):
        folder = tmp_path_factory.mktemp("model") / name
        folder.mkdir()
        words = ["[PAD]", "[UNK]", *cues]
        vocabulary = {word: number for number, word in enumerate(words)}
        tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
        tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
        tokenizer.save(str(folder / "tokenizer.json"))
        (folder / "config.json").write_text('{"pad_token_id": 0}')

        table = np.zeros((len(words), len(scheme.names)), np.float32)
        table[1, -1] = 0.5
        for word, label in cues.items():
            table[words.index(word), scheme.names.index(label)] = 5
        onnx.save(_sum_of_rows(table), folder / "model.onnx")

        light = NORMALIZERS["light"]
        manifest = Manifest(
            name=name,
            version="1",
            scheme=scheme,
            normalizer=NormalizerStamp(name=light.name, version=light.version, golden=()),
            max_length=8,
            temperature=temperature,
            power=power,
            threshold=THRESHOLD,
            golden_predictions=(),
            metrics={},
            provenance=None,
            files={path.name: sha256(path) for path in folder.iterdir()},
        )
        write_manifest(folder, manifest)
        (answer,) = Classifier(Bundle.load(folder), threads=1).classify(["golden"])
        golden = GoldenPrediction(text="golden", probabilities=tuple(answer.probabilities.values()))
        write_manifest(folder, manifest.model_copy(update={"golden_predictions": (golden,)}))
        return folder

    return make


@pytest.fixture(scope="session")
def bundle(make_bundle):
    """A bundle named cues that labels by the words in CUES, and all else as other."""
    return make_bundle("cues")


@pytest.fixture(scope="session")
def unigram_encoder(authored, tmp_path_factory) -> Path:
    """An encoder of XLM-R's form in half precision, with its masked-language head."""
    torch = pytest.importorskip("torch")
    from transformers import XLMRobertaConfig, XLMRobertaForMaskedLM, XLMRobertaTokenizer

    folder = tmp_path_factory.mktemp("unigram")
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    pieces = Tokenizer(models.Unigram())
    pieces.pre_tokenizer = pre_tokenizers.Metaspace()
    pieces.train_from_iterator(
        (row["text"] for row in authored[::2]),
        trainers.UnigramTrainer(vocab_size=1500, special_tokens=special, unk_token="<unk>"),
    )
    vocab = [tuple(entry) for entry in json.loads(pieces.to_str())["model"]["vocab"]]
    tokenizer = XLMRobertaTokenizer(vocab=[*vocab, ("<mask>", 0.0)])
    tokenizer.save_pretrained(folder)
    torch.manual_seed(2)
    config = XLMRobertaConfig(
        vocab_size=len(tokenizer) + 6,  # rows that no piece has, as multilingual-e5-small's
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=80,
    )
    model = XLMRobertaForMaskedLM(config)
    torch.nn.init.normal_(model.lm_head.bias)
    model.half().save_pretrained(folder)
    (folder / "README.md").write_text("---\nlicense: mit\n---\n# An encoder\n", encoding="utf-8")
    (folder / "LICENSE").write_text("Permission is hereby granted.\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="session", params=["wordpiece", "unigram"])
def encoder(request, tiny_encoder, unigram_encoder) -> Path:
    """Either of the two tiny encoders."""
    return {"wordpiece": tiny_encoder, "unigram": unigram_encoder}[request.param]


@pytest.fixture(scope="session")
def text(authored, tmp_path_factory) -> Path:
    """A file of the first LINES of the sentences that ship, which encoders are trimmed to."""
    path = tmp_path_factory.mktemp("text") / "text.jsonl"
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in authored[:LINES]]
    path.write_text("".join(lines), encoding="utf-8")
    return path


def _sum_of_rows(table):
    """A graph that sums the table's rows over the tokens that are not padding."""
    both = ["batch", "tokens"]
    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["table", "input_ids"], ["rows"]),
            helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
            helper.make_node("Unsqueeze", ["mask", "last"], ["weights"]),
            helper.make_node("Mul", ["rows", "weights"], ["kept"]),
            helper.make_node("ReduceSum", ["kept", "tokens_axis"], ["logits"], keepdims=0),
        ],
        "cues",
        [
            helper.make_tensor_value_info("input_ids", TensorProto.INT64, both),
            helper.make_tensor_value_info("attention_mask", TensorProto.INT64, both),
        ],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", table.shape[1]])],
        [
            numpy_helper.from_array(table, "table"),
            numpy_helper.from_array(np.array([2]), "last"),
            numpy_helper.from_array(np.array([1]), "tokens_axis"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
