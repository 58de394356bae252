"""One unit of work: all images of one description, drawn, scored, judged and written down.

A unit is scored as one batch of fixed composition once its images exist, so that its numbers do not
depend on when the run was interrupted.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from advgen.attack.records_file import sample_from_json
from advgen.config import AttackConfig
from advgen.errors import GenerationError
from advgen.generation.layout import Cell, RunLayout, decode_png, encode_png
from advgen.generation.protocols import Drawn, DrawRequest, Synthesizer
from advgen.models import ClipModel
from advgen.records import Description, Sample, to_json
from advgen.scoring import PairScores, score_pair
from advgen.scoring.judges import Judge
from advgen.seeds import derive_seed
from advgen.store import sha256_file, write_atomic

BLACK_LEVEL = 4


@dataclass(frozen=True, slots=True)
class Unit:
    """All images of one description."""

    cell: Cell
    number: int
    description: Description
    images: int


@dataclass(frozen=True, slots=True)
class Studio:
    """Everything a unit needs, opened once per run.

    Attributes:
        config: The attack.
        layout: Where files go.
        clip: The attacked model.
        classes: Unit embeddings of (true, target) by pair.
        synthesizer: Draws.
        describer: Name of who wrote.
        judge: Verifies.
    """

    config: AttackConfig
    layout: RunLayout
    clip: ClipModel
    classes: Mapping[Any, Float[Tensor, "2 embed"]]
    synthesizer: Synthesizer
    describer: str
    judge: Judge

    def finished(self, unit: Unit) -> list[Sample] | None:
        """Rows of a unit that was completed before, or None when there is work to do.

        Rows count only if each image is there with the bytes that were scored.
        """
        path = self.layout.unit(unit.cell, unit.number)
        if not path.is_file():
            return None
        try:
            samples = [
                sample_from_json(row)
                for row in json.loads(path.read_text(encoding="utf-8"))["rows"]
            ]
        except (ValueError, KeyError, TypeError):
            return None
        images = [self.layout.root / sample.path for sample in samples]
        whole = all(
            image.is_file() and sha256_file(image) == sample.sha256
            for image, sample in zip(images, samples, strict=True)
        )
        return samples if whole and len(samples) == unit.images else None

    def complete(self, unit: Unit) -> list[Sample]:
        """Draw what is missing, score and judge everything, and write the unit down."""
        drawn = [self._image(unit, index) for index in range(unit.images)]
        scores = self._scores(unit, [image for image, _ in drawn])
        samples = [
            self._sample(unit, index, image, provenance, score)
            for index, ((image, provenance), score) in enumerate(zip(drawn, scores, strict=True))
        ]
        rejected = [
            {"index": index, **attempt}
            for index, (_, provenance) in enumerate(drawn)
            for attempt in provenance["rejected"]
        ]
        document = {"rows": to_json(samples), "rejected": rejected}
        write_atomic(
            self.layout.unit(unit.cell, unit.number), json.dumps(document, indent=1) + "\n"
        )
        return samples

    def _scores(self, unit: Unit, images: list[Image.Image]) -> list[PairScores]:
        pixels = torch.stack([self.clip.preprocess(image) for image in images])
        parts = pixels.split(self.config.model.batch_size)
        embeddings = torch.cat([self.clip.encode_image(part) for part in parts])
        return score_pair(embeddings, self.classes[unit.cell.pair], self.clip.logit_scale)

    def _sample(
        self,
        unit: Unit,
        index: int,
        image: Image.Image,
        provenance: Mapping[str, Any],
        score: PairScores,
    ) -> Sample:
        verdict = self.judge.judge(image, provenance["truth"], unit.cell.pair)
        path = self.layout.image(unit.cell, unit.number, index)
        return Sample(
            id=f"{unit.cell.slug}/d{unit.number:02d}-i{index:03d}",
            true_class=unit.cell.pair.true_class,
            target_class=unit.cell.pair.target_class,
            method=unit.cell.method,
            repeat=unit.cell.repeat,
            description_id=unit.description.id,
            description=unit.description.text,
            words=unit.description.words,
            undrawn=tuple(provenance["undrawn"]),
            attacked_model=self.clip.name,
            weights_sha256=self.clip.weights_sha256,
            describer=self.describer,
            synthesizer=f"{self.synthesizer.name}@{self.synthesizer.revision}",
            cos_true=score.cos_true,
            cos_target=score.cos_target,
            margin=score.margin,
            prob_target=score.prob_target,
            fooled=score.fooled,
            judge=verdict.judge,
            p_true_present=verdict.true_present,
            p_target_absent=verdict.target_absent,
            verified=verdict.verified,
            seed=provenance["seed"],
            sha256=sha256_file(path),
            path=path.relative_to(self.layout.root).as_posix(),
            truth=json.dumps(provenance["truth"], sort_keys=True),
        )

    def _image(self, unit: Unit, index: int) -> tuple[Image.Image, dict[str, Any]]:
        path = self.layout.image(unit.cell, unit.number, index)
        seeds = [
            derive_seed(
                self.config.seed, unit.cell.slug, unit.description.id, unit.number, index, attempt
            )
            for attempt in range(self.config.draw.max_redraws + 1)
        ]
        kept = _kept(path, seeds)
        if kept is not None:
            return kept
        rejected: list[dict[str, Any]] = []
        for attempt, seed in enumerate(seeds):
            request = DrawRequest(
                unit.description.text, unit.cell.pair.true_class, seed, self.config.draw.size
            )
            drawn = self.synthesizer.draw([request])[0]
            reason = drawn.rejected or ("black" if is_black(drawn.image) else None)
            if reason is None:
                provenance = self._provenance(unit, seed, drawn, rejected)
                write_atomic(path, encode_png(drawn.image, provenance))
                return drawn.image, provenance
            rejected.append({"attempt": attempt, "seed": seed, "reason": reason})
        raise GenerationError(
            f"'{unit.description.text}' gave no usable image in {len(seeds)} draws "
            f"({rejected[-1]['reason']}); choose another --seed or raise draw.max_redraws"
        )

    def _provenance(
        self, unit: Unit, seed: int, drawn: Drawn, rejected: list[dict[str, Any]]
    ) -> dict[str, Any]:
        return {
            "prompt": unit.description.text,
            "subject": unit.cell.pair.true_class,
            "seed": seed,
            "synthesizer": f"{self.synthesizer.name}@{self.synthesizer.revision}",
            "licence": self.synthesizer.licence,
            "undrawn": list(drawn.undrawn),
            "truth": dict(drawn.truth),
            "rejected": rejected,
        }


def _kept(path: Path, seeds: list[int]) -> tuple[Image.Image, dict[str, Any]] | None:
    """The image drawn before from one of these seeds; None when it is lost, damaged or another."""
    if not path.is_file():
        return None
    try:
        image, provenance = decode_png(path.read_bytes())
    except ValueError:
        return None
    return (image, provenance) if provenance.get("seed") in seeds else None


def is_black(image: Image.Image) -> bool:
    """True when no pixel is brighter than a trace: what a safety checker makes of an image."""
    return int(np.asarray(image.convert("L")).max(initial=0)) <= BLACK_LEVEL
