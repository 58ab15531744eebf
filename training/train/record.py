"""What is recorded of a run: its sentences, settings, teachers and history."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from serving.labels import LabelScheme
from serving.provenance import Data, Distilled, Provenance, Side
from training.config import SHIPPED_ENCODER, SHIPPED_ENCODER_ID, TrainConfig
from training.environment import environment
from training.labelled.reading import Normalize, fingerprint
from training.labelled.sentence import LabelledSentence
from training.model.checkpoint import SETTINGS, model_name
from training.model.hub import Source
from training.train.finetune import Trained


def side_of(
    sentences: Sequence[LabelledSentence], scheme: LabelScheme, normalize: Normalize
) -> Side:
    """Count the sentences of a side by label, with their fingerprint."""
    return Side(
        sentences=len(sentences),
        labels={name: sum(s.label == name for s in sentences) for name in scheme.names},
        fingerprint=fingerprint(sentences, normalize),
    )


def provenance_of(
    config: TrainConfig,
    *,
    data: Data,
    distilled: Distilled | None,
    trained: Trained,
    command: Sequence[str],
    source: Source,
    started_from: str | None,
) -> Provenance:
    """Return the record of a run; files lose their folders, which exist on one machine only."""
    settings = config.model_dump(mode="json", exclude={"output", "labels"})
    settings["encoder"] = encoder_name(config.encoder)
    for group, names in (
        ("data", ("train", "dev", "corrections")),
        ("distill", ("teachers", "unlabelled")),
    ):
        for name in names:
            paths = getattr(getattr(config, group), name)
            settings[group][name] = [path.name for path in paths]
    return Provenance(
        command=shlex.join(command),
        config=settings,
        encoder_commit=source.commit,
        data=data,
        distill=distilled,
        history=trained.history,
        kept=trained.kept,
        environment=environment(),
        started_from=started_from,
    )


def encoder_name(encoder: Path | str) -> str:
    """Return the encoder's hub id, our model's name with its digest, or the folder's name."""
    if isinstance(encoder, str):
        return encoder
    if encoder.resolve() == SHIPPED_ENCODER.resolve():
        return SHIPPED_ENCODER_ID
    return model_name(encoder) if (encoder / SETTINGS).is_file() else encoder.name
