"""The two plain LitServe recipes that `benchmarks/serve.py` compares with.

python benchmarks/litserve_recipes.py onnx|transformers PORT [CHECKPOINT]
"""

import argparse
from typing import Any

import litserve
import numpy as np

from serving.bundle import Bundle, shipped_model


class OnnxAPI(litserve.LitAPI):
    """ONNX Runtime with its defaults, a batch padded to its longest sentence."""

    def setup(self, device: str) -> None:  # noqa: ARG002
        """Load the default model."""
        import onnxruntime
        from tokenizers import Tokenizer

        bundle = Bundle.load(shipped_model())
        self.tokenizer = Tokenizer.from_file(str(bundle.folder / "tokenizer.json"))
        self.tokenizer.enable_truncation(bundle.manifest.max_length)
        self.tokenizer.enable_padding(pad_id=bundle.padding_id)
        self.session = onnxruntime.InferenceSession(str(bundle.folder / "model.onnx"))
        self.names = bundle.scheme.names

    def decode_request(self, request: dict[str, str]) -> str:
        """Return the text of the request."""
        return request["text"]

    def predict(self, texts: list[str]) -> list[Any]:
        """Score a batch."""
        items = self.tokenizer.encode_batch(texts)
        ids = np.array([item.ids for item in items], np.int64)
        mask = np.array([item.attention_mask for item in items], np.int64)
        (logits,) = self.session.run(["logits"], {"input_ids": ids, "attention_mask": mask})
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        return list(powers / powers.sum(axis=1, keepdims=True))

    def encode_response(self, output: Any) -> dict[str, Any]:
        """Return the label and its score."""
        return {"label": self.names[int(output.argmax())], "score": float(output.max())}


class PipelineAPI(litserve.LitAPI):
    """`transformers.pipeline` on a checkpoint."""

    checkpoint = ""

    def setup(self, device: str) -> None:
        """Load the checkpoint."""
        from transformers import pipeline

        self.pipeline = pipeline("text-classification", model=self.checkpoint, device=device)

    def decode_request(self, request: dict[str, str]) -> str:
        """Return the text of the request."""
        return request["text"]

    def predict(self, texts: list[str]) -> list[Any]:
        """Score a batch."""
        return list(self.pipeline(texts, truncation=True, batch_size=8))

    def encode_response(self, output: Any) -> Any:
        """Return the answer of the pipeline."""
        return output


def main() -> None:
    """Serve one of the two until a signal ends it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=("onnx", "transformers"))
    parser.add_argument("port", type=int)
    parser.add_argument("checkpoint", nargs="?", default="", help="for transformers")
    options = parser.parse_args()
    kind = OnnxAPI if options.kind == "onnx" else PipelineAPI
    api = kind(max_batch_size=8, batch_timeout=0.01)
    api.checkpoint = options.checkpoint
    server = litserve.LitServer(api, accelerator="cpu", timeout=False)
    server.run(host="127.0.0.1", port=options.port, num_api_servers=1, generate_client_file=False)


if __name__ == "__main__":
    main()
