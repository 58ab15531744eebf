"""A bundle whose answers can be told ahead, for the tests of everything that measures one."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, pre_tokenizers

from serving.bundle import Manifest, NormalizerStamp, sha256, write_manifest
from serving.labels import Label, LabelScheme
from serving.normalize import NORMALIZERS

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
        write_manifest(
            folder,
            Manifest(
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
                provenance={},
                files={path.name: sha256(path) for path in folder.iterdir()},
            ),
        )
        return folder

    return make


@pytest.fixture(scope="session")
def bundle(make_bundle):
    """A bundle named cues that labels by the words in CUES, and all else as other."""
    return make_bundle("cues")


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
