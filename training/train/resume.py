"""An unfinished run on disk: its identity, and the checkpoints that it resumes from."""

import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from accelerate import PartialState
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from serving.atomic import atomic_file, check_place
from serving.bundle import sha256
from serving.errors import InputError
from training.config import TrainConfig
from training.labelled.sentence import LabelledSentence
from training.model.hub import Source
from training.train.optimisation import WeightAverage

_IDENTITY = "run.json"
_COMPLETE = "complete"
RESULT = "result.json"
"""Written when the training has ended: see `finetune`."""

SOFT_LABELS = "soft_labels.npy"
"""The teachers' probabilities: see `teachers`."""

PRECISION = "precision.txt"
"""What `auto` means for the run: see `trainer`."""

# These keys do not change the weights, so they may differ when a run resumes.
_FREE: dict[str, Any] = {
    "output": True,
    "name": True,
    "encoder_credit": True,
    "license": True,
    "abstention": True,
    "export": True,
    "optimisation": {"checkpoint_steps", "report_to"},
}


def run_identity(config: TrainConfig, **further: Any) -> dict[str, Any]:
    """Return everything that the weights depend on, by dotted key: configuration and `further`.

    A key of `further` replaces that of the configuration.
    """
    return _flat(config.model_dump(mode="json", exclude=_FREE)) | further


def encoder_version(source: Source) -> str | list[str]:
    """Return the commit of an encoder; of a folder the digests of its weights and tokenizer."""
    folder = Path(source.name)
    if not folder.is_dir():
        return source.commit or source.revision
    files = [*folder.glob("*.safetensors"), *folder.glob("*.bin"), *folder.glob("tokenizer.json")]
    return [sha256(file) for file in sorted(files)]


def rows_digest(sentences: Sequence[LabelledSentence], unlabelled: Sequence[str]) -> str:
    """Return the SHA-256 of what is learned, in its order: stored soft labels are by row."""
    rows = [(s.text, s.label, s.sure, s.second) for s in sentences]
    return hashlib.sha256(json.dumps([rows, list(unlabelled)]).encode()).hexdigest()


def reserve(folder: Path, identity: dict[str, Any]) -> bool:
    """Reserve `folder` for the run `identity`; return True if it resumes a run there.

    Leftovers that no run can resume from are removed. Raises InputError if `folder` holds an
    unfinished run of another identity, or files but no record of a run.
    """
    record = folder / _IDENTITY
    signs = (SOFT_LABELS, f"checkpoint-*/{_COMPLETE}", RESULT)
    # rglob: an older version had a folder per seed, whose run is not ours to discard.
    begun = any(any(folder.rglob(sign)) for sign in signs)
    if record.is_file() and begun:
        found = json.loads(record.read_text(encoding="utf-8"))
        known = json.loads(json.dumps(identity))  # as JSON gives it back: lists for tuples
        if found == known:
            return True
        keys = [key for key in known | found if known.get(key) != found.get(key)]
        if any(key.startswith("distill.") for key in keys):
            keys = [key for key in keys if key != "distill"]  # it follows from those
        raise InputError(
            f"{folder}: holds an unfinished run with another {', '.join(keys)}",
            "Repeat the command of that run to resume it, name another folder with --out, "
            f"or remove {folder} to discard it.",
        )
    for cut_off in folder.glob(f".{_IDENTITY}.*"):  # of `atomic_file`, by a kill
        cut_off.unlink()
    # A run writes its record first and removes it last: files without it are not ours.
    check_place(folder, sign=_IDENTITY)
    discard(folder)
    with atomic_file(record) as path:
        path.write_text(json.dumps(identity, ensure_ascii=False, indent=1), encoding="utf-8")
    return False


def discard(folder: Path) -> None:
    """Remove a run's folder, if it is there; its record last, so that a kill leaves it a run's."""
    for path in list(folder.glob("*")):
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != _IDENTITY:
            path.unlink()
    shutil.rmtree(folder, ignore_errors=True)


def newest_checkpoint(folder: Path) -> Path | None:
    """Return the newest complete checkpoint in `folder`; a kill may have cut off the last one."""
    whole = [path.parent for path in folder.glob(f"checkpoint-*/{_COMPLETE}")]
    return max(whole, key=lambda path: int(path.name.rpartition("-")[2]), default=None)


class Checkpoints(TrainerCallback):
    """Writes a checkpoint every `every` steps and after every epoch; keeps the newest.

    Not at an epoch's last step: that checkpoint would lack the evaluation that follows.
    """

    def __init__(self, every: int, average: WeightAverage) -> None:
        """Save the running mean `average` with every checkpoint."""
        self._every = every
        self._average = average

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Request a checkpoint if one is due."""
        steps_an_epoch = state.max_steps // int(args.num_train_epochs)
        if state.global_step % self._every == 0 and state.global_step % steps_an_epoch:
            control.should_save = True

    def on_epoch_end(
        self,
        args: TrainingArguments,  # noqa: ARG002  the Trainer passes it by position
        state: TrainerState,  # noqa: ARG002
        control: TrainerControl,
        **_: Any,
    ) -> None:
        """Request a checkpoint, which the Trainer writes after the evaluation."""
        control.should_save = True

    def on_save(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,  # noqa: ARG002
        **_: Any,
    ) -> None:
        """Add the running mean to the checkpoint, mark it complete, remove older ones."""
        PartialState().wait_for_everyone()
        if not args.should_save:
            return
        folder = Path(args.output_dir)
        newest = folder / f"checkpoint-{state.global_step}"
        self._average.save(newest)
        (newest / _COMPLETE).touch()
        for older in folder.glob("checkpoint-*"):
            if older != newest:
                shutil.rmtree(older)


def _flat(values: dict[str, Any], group: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{group}{name}.")
        else:
            flat[group + name] = value
    return flat
