"""Find and fetch an encoder: a folder, or the commit of a model on the Hugging Face hub."""

from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import constants, model_info, snapshot_download, try_to_load_from_cache
from huggingface_hub.errors import HfHubHTTPError

from serving.errors import InputError

_PATIENCE = 10.0  # seconds

# The files of an encoder; the hub often has many gigabytes of weights in other formats too.
_FILES = (
    "config.json",
    "model.safetensors",
    "model-*-of-*.safetensors",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "README.md",
    "LICENSE*",
    "NOTICE*",
)


@dataclass(frozen=True, slots=True)
class Source:
    """A model to load with `from_pretrained(name, revision=…, local_files_only=…)`.

    `commit` is the hub's commit that this loads, None for a folder.
    """

    name: str | Path
    revision: str
    local_files_only: bool
    commit: str | None


def find_source(name: str | Path, revision: str | None = None) -> Source:
    """Return the source of the model `name` (folder or hub id), with a branch or tag as a commit.

    This is one request; transformers would ask for every file, with five retries each. Without a
    network it takes a model from the cache. Raises InputError if the cache has none.
    """
    revision = revision or "main"
    if isinstance(name, Path) or Path(name).is_dir():
        return Source(name, revision, local_files_only=True, commit=None)
    try:
        commit = model_info(name, revision=revision, timeout=_PATIENCE).sha
        return Source(name, commit or revision, local_files_only=False, commit=commit)
    except HfHubHTTPError as error:
        raise InputError(
            f"encoder: the hub refuses {name} at {revision}: {_first_line(error)}",
            "Check encoder and encoder_revision; a gated model needs `hf auth login`.",
        ) from error
    except Exception as error:
        # The hub's client has changed its HTTP library, and its errors, more than once.
        cached = try_to_load_from_cache(name, "config.json", revision=revision)
        if isinstance(cached, str):
            commit = Path(cached).parent.name  # …/models--org--name/snapshots/COMMIT/config.json
            return Source(name, commit, local_files_only=True, commit=commit)
        raise InputError(
            f"encoder: {name} is not in the cache and {constants.ENDPOINT} cannot be reached: "
            f"{_first_line(error)}",
            "Connect, set HF_ENDPOINT to a mirror, or name a folder with config, tokenizer and "
            "weights.",
        ) from error


def fetch(source: Source) -> Path:
    """Return the folder with the files of the encoder `source`; download them if needed.

    Raises InputError if the download fails.
    """
    if Path(source.name).is_dir():
        return Path(source.name)
    try:
        return Path(
            snapshot_download(
                source.name,
                revision=source.revision,
                local_files_only=source.local_files_only,
                allow_patterns=_FILES,
            )
        )
    except Exception as error:  # see find_source
        raise InputError(
            f"encoder: {source.name} cannot be fetched: {_first_line(error)}",
            "Try again when the hub can be reached, or name a folder.",
        ) from error


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
