"""One unit of work: all images of one description, drawn, scored, judged and written down.

A unit is scored as one batch of fixed composition once its images exist, so that its numbers do not
depend on when the run was interrupted.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from advgen.attack.drawing import Artist, Drawing, Picture, Unit
from advgen.attack.records_file import sample_from_json
from advgen.models import ClipModel
from advgen.records import Sample, to_json
from advgen.scoring import PairScores, score_pair
from advgen.scoring.judges import Judge
from advgen.store import sha256_file, write_atomic


@dataclass(frozen=True, slots=True)
class Finished:
    """A unit that is written down.

    Attributes:
        rows: One per usable image.
        given_up: How many images could not be had.
        reasons: Why their draws were rejected.
    """

    rows: list[Sample]
    given_up: int = 0
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Studio:
    """Everything a unit needs, opened once per run.

    Attributes:
        artist: Draws.
        clip: The attacked model.
        classes: Unit embeddings of (true, target) by pair.
        describer: Name of who wrote.
        judge: Verifies.
    """

    artist: Artist
    clip: ClipModel
    classes: Mapping[Any, Float[Tensor, "2 embed"]]
    describer: str
    judge: Judge

    def finished(self, unit: Unit) -> Finished | None:
        """A unit that was completed before, or None when there is work to do.

        Rows count only if each image is there with the bytes that were scored.
        """
        layout = self.artist.layout
        path = layout.unit(unit.cell, unit.number)
        if not path.is_file():
            return None
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            done = _finished(document)
        except (ValueError, KeyError, TypeError):
            return None
        images = [layout.root / sample.path for sample in done.rows]
        whole = all(
            image.is_file() and sha256_file(image) == sample.sha256
            for image, sample in zip(images, done.rows, strict=True)
        )
        return done if whole and len(done.rows) + done.given_up == unit.images else None

    def complete(self, unit: Unit) -> Finished:
        """Draw what is missing, score and judge everything, and write the unit down."""
        return self.score(unit, self.artist.draw(unit))

    def score(self, unit: Unit, drawing: Drawing) -> Finished:
        """Score and judge what was drawn of a unit, and write it down."""
        scores = self._scores(unit, [picture.image for picture in drawing.pictures])
        samples = [
            self._sample(unit, picture, score)
            for picture, score in zip(drawing.pictures, scores, strict=True)
        ]
        document = {
            "rows": to_json(samples),
            "rejected": drawing.rejected,
            "given_up": drawing.given_up,
        }
        path = self.artist.layout.unit(unit.cell, unit.number)
        write_atomic(path, json.dumps(document, indent=1) + "\n")
        return _finished(document)

    def _scores(self, unit: Unit, images: Sequence[Image.Image]) -> list[PairScores]:
        if not images:
            return []
        pixels = torch.stack([self.clip.preprocess(image) for image in images])
        parts = pixels.split(self.artist.config.model.batch_size)
        embeddings = torch.cat([self.clip.encode_image(part) for part in parts])
        return score_pair(embeddings, self.classes[unit.cell.pair], self.clip.logit_scale)

    def _sample(self, unit: Unit, picture: Picture, score: PairScores) -> Sample:
        provenance = picture.provenance
        verdict = self.judge.judge(picture.image, provenance["truth"], unit.cell.pair)
        layout, synthesizer = self.artist.layout, self.artist.synthesizer
        path = layout.image(unit.cell, unit.number, picture.index)
        return Sample(
            id=f"{unit.cell.slug}/d{unit.number:02d}-i{picture.index:03d}",
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
            synthesizer=f"{synthesizer.name}@{synthesizer.revision}",
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
            path=path.relative_to(layout.root).as_posix(),
            truth=json.dumps(provenance["truth"], sort_keys=True),
        )


def _finished(document: Mapping[str, Any]) -> Finished:
    lost = set(document["given_up"])
    reasons = [entry["reason"] for entry in document["rejected"] if entry["index"] in lost]
    rows = [sample_from_json(row) for row in document["rows"]]
    return Finished(rows, len(lost), tuple(sorted(set(reasons))))
