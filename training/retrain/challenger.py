"""The challenger: its folder, its configuration, and its training from the champion's weights."""

import hashlib
import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from serving.bundle import MANIFEST
from serving.classifier import Classifier
from serving.text.normalize import NORMALIZERS
from training.config import DistillConfig, OptimisationConfig, TrainConfig
from training.export.run import Predecessor
from training.model.checkpoint import SETTINGS, load_checkpoint
from training.model.from_bundle import restore_checkpoint
from training.retrain.config import Recipe, RetrainConfig
from training.retrain.merge import DEV, NEW, REPLAYED, Merged
from training.train.run import train
from training.train.teachers import ask, load_teacher, read_unlabelled

# Sentences of the archive whose answers calibrate the challenger, and how many it takes at least:
# with fewer it keeps the champion's temperature and power.
_CALIBRATE_ON = 2000
_CALIBRATE_AT_LEAST = 500


class Work:
    """The folder of one retraining, named by the champion and all that the challenger depends on.

    `sentences/` has the three sides, `champion/` its checkpoint, `challenger/` what is trained.
    """

    def __init__(
        self, config: RetrainConfig, recipe: Recipe, merged: Merged, champion: Classifier
    ) -> None:
        self._config = config
        self._recipe = recipe
        self._merged = merged
        self._champion = champion.bundle
        parts = [
            champion.model,
            merged.digest(),
            recipe.model_dump_json(),
            f"{config.unsure_weight} {config.second_share} {bool(config.dev)}",
            *map(str, config.archive),
        ]
        digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()
        self.folder = config.output / f"{self._champion.manifest.version}-{digest[:12]}"

    def challenger(self, command: Sequence[str]) -> Path:
        """Return the challenger's bundle; train it, or finish its training, if it is not there."""
        out = self.folder / "challenger"
        if (out / "bundle" / MANIFEST).is_file() and not (out / "trainer").exists():
            return out / "bundle"
        start = self.folder / "champion"
        if not (start / SETTINGS).is_file():
            self._merged.write(self.folder / "sentences", self._champion.scheme)
            restore_checkpoint(self._champion.folder, start)
        # Without `dev` the champion may have learned what is held out here, and would look too
        # certain on it.
        predecessor = None if self._config.dev else self._predecessor()
        return train(
            self._training(start),
            out,
            command=command,
            predecessor=predecessor,
            tested=self._merged.test,
        )

    def _predecessor(self) -> Predecessor:
        """Return the champion, with its answers to sentences of the archive that are not learned.

        Those that are learned would not do: on them the challenger agrees with it in any case.
        """
        texts = self._archive[self._remembered :]
        if len(texts) < _CALIBRATE_AT_LEAST:
            texts = []
        names = self._champion.scheme.names
        teacher = load_teacher(self._champion.folder)
        answers = ask([teacher], texts, names, progress=False)
        return Predecessor(self._champion.manifest, texts, answers)

    def _training(self, start: Path) -> TrainConfig:
        """Return the configuration of the challenger: the champion's, from its own weights."""
        settings = load_checkpoint(start).settings
        sentences = self.folder / "sentences"
        before = settings.provenance.config
        return TrainConfig.model_validate(
            {
                "encoder": start,
                "encoder_credit": before.get("encoder_credit"),
                "license": before.get("license"),
                "labels": sentences / "labels.yaml",
                "normalizer": settings.normalizer,
                "max_length": settings.max_length,
                "data": {
                    "train": [sentences / name for name in self._learned],
                    "dev": [sentences / DEV],
                    "corrections": [sentences / NEW],
                    # With nothing remembered, the weight would make the model forget the rest.
                    "correction_weight": self._recipe.new_weight if self._remembered else 1.0,
                    "conflicts": "first",
                    "unsure_weight": self._config.unsure_weight,
                    "second_share": self._config.second_share,
                },
                "model": {
                    "dropout": settings.dropout,
                    "encoder_dropout": before["model"].get("encoder_dropout"),
                },
                "optimisation": self._optimisation(start),
                "distill": self._lessons(),
                "abstention": {"coverage": settings.coverage},
                "export": {
                    "min_agreement": settings.min_agreement,
                    "max_logit_difference": settings.max_logit_difference,
                },
                "output": self.folder / "challenger",
                "name": settings.name,
            }
        )

    def _lessons(self) -> DistillConfig:
        """Let the challenger keep the champion's answers to unlabelled text and to the base.

        Learning without forgetting (Li and Hoiem 2016). Of new labels it learns the labels alone:
        the champion is wrong about corrections.
        """
        if not self._remembered:
            return DistillConfig()
        return DistillConfig(
            teachers=(self._champion.folder,),
            unlabelled=self._config.archive,
            limit=self._remembered,
            share=1.0,
        )

    @cached_property
    def _archive(self) -> list[str]:
        """The sentences of the archive that may be learned, and then those that calibrate.

        `train` draws them in the same order, and bars the same ones.
        """
        if not self._config.archive:
            return []
        merged = self._merged
        distill = DistillConfig(
            teachers=(self._champion.folder,),
            unlabelled=self._config.archive,
            limit=self._recipe.remembered + _CALIBRATE_ON,
        )
        closed = [*merged.dev, *merged.test, *merged.train[: merged.counts.learned]]
        normalize = NORMALIZERS[self._champion.manifest.normalizer.name].apply
        return read_unlabelled(distill, closed, normalize)

    @property
    def _remembered(self) -> int:
        """The number of sentences of the archive that are learned; a fifth at least is not."""
        spare = min(_CALIBRATE_ON, len(self._archive) // 5)
        return min(self._recipe.remembered, len(self._archive) - spare)

    @property
    def _learned(self) -> list[str]:
        return [NEW, REPLAYED] if self._merged.counts.replayed else [NEW]

    def _optimisation(self, start: Path) -> OptimisationConfig:
        """Return the recipe's, with the share of frozen layers as a number of this encoder's."""
        encoder = json.loads((start / "config.json").read_text(encoding="utf-8"))
        frozen = int(self._recipe.frozen * encoder["num_hidden_layers"])
        return self._recipe.optimisation.model_copy(update={"frozen_layers": frozen})
