"""The row of a released dataset: one image with everything that is known of it.

advgen.records.Sample    what a run writes
features()               what is released: the same and its provenance, judged and reviewed

Everything that is needed to draw an image again stands in its row.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from advgen.records import MinedWord, Sample

if TYPE_CHECKING:
    from datasets import Features

SPLIT = "test"


def features() -> Features:
    """The columns of a built dataset.

    `truth` and `synthesizer.details` are JSON texts, since their shape depends on what drew the
    image; `created_at` is None in a build that was given no date.
    """
    from datasets import Features, Image, List, Value

    text, number, integer = Value("string"), Value("float64"), Value("int64")
    part = {"name": text, "revision": text}
    neuron = {"layer": Value("int32"), "index": Value("int32"), "contribution": number}
    answer = {**part, "p_true_present": number, "p_target_absent": number}
    return Features(
        {
            "image": Image(),
            "id": text,
            "run_id": text,
            "true_class": text,
            "target_class": text,
            "description": text,
            "words": List({"word": text, "score": number, "neurons": List(neuron)}),
            "method": text,
            "repeat": integer,
            "attacked_model": {"name": text, "weights_sha256": text},
            "cos_true": number,
            "cos_target": number,
            "margin": number,
            "prob_target": number,
            "fooled": Value("bool"),
            "describer": part,
            "synthesizer": {
                **part,
                "licence": text,
                "seed": integer,
                "size": integer,
                "batch_size": integer,
                "details": text,
            },
            "safety": {"rejected_before": integer},
            "verification": {
                "status": text,
                "by": text,
                "reason": text,
                "judges": List(answer),
                "p_true_present": number,
                "p_target_absent": number,
            },
            "review": {"status": text, "votes": integer, "agreement": number},
            "sha256": text,
            "phash": text,
            "truth": text,
            "created_at": text,
        }
    )


@dataclass(frozen=True, slots=True)
class Picture:
    """The image of a row as it lies in its run.

    Attributes:
        data: Bytes of the PNG.
        provenance: What the PNG carries.
        phash: Perceptual hash, 16 hex digits.
    """

    data: bytes
    provenance: Mapping[str, Any]
    phash: str


@dataclass(frozen=True, slots=True)
class Source:
    """What all rows of a run share.

    Attributes:
        run_id: Identity of the run, by what it was made with.
        synthesizer: Name, revision and licence.
        options: Of the synthesizer, as the run's config has them.
        size: Side of an image in pixels.
        created_at: Date of the build, or None.
    """

    run_id: str
    synthesizer: Mapping[str, str]
    options: Mapping[str, Any]
    size: int
    created_at: str | None = None


def make_row(
    sample: Sample,
    picture: Picture,
    source: Source,
    words: Sequence[MinedWord],
    verification: Mapping[str, Any],
    review: Mapping[str, Any],
) -> dict[str, Any]:
    """A row after `features`, from what a run, its judges and its reviewers say.

    Args:
        sample: The run's own row.
        picture: Its image.
        source: The run.
        words: The mined words that the description uses.
        verification: The struct of that name in `features`.
        review: The struct of that name in `features`.
    """
    describer, _, describer_revision = sample.describer.rpartition("@")
    return {
        "image": {"bytes": picture.data, "path": f"{sample.id.replace('/', '_')}.png"},
        "id": f"{source.run_id}/{sample.id}",
        "run_id": source.run_id,
        "true_class": sample.true_class,
        "target_class": sample.target_class,
        "description": sample.description,
        "words": [_word(word) for word in words],
        "method": sample.method,
        "repeat": sample.repeat,
        "attacked_model": {"name": sample.attacked_model, "weights_sha256": sample.weights_sha256},
        "cos_true": sample.cos_true,
        "cos_target": sample.cos_target,
        "margin": sample.margin,
        "prob_target": sample.prob_target,
        "fooled": sample.fooled,
        "describer": {"name": describer or sample.describer, "revision": describer_revision},
        "synthesizer": _synthesizer(sample, picture.provenance, source),
        "safety": {"rejected_before": len(picture.provenance["rejected"])},
        "verification": dict(verification),
        "review": dict(review),
        "sha256": sample.sha256,
        "phash": picture.phash,
        "truth": sample.truth,
        "created_at": source.created_at,
    }


def _word(word: MinedWord) -> dict[str, Any]:
    neurons = [
        {
            "layer": share.neuron.layer,
            "index": share.neuron.index,
            "contribution": share.contribution,
        }
        for share in word.neurons
    ]
    return {"word": word.word, "score": word.score, "neurons": neurons}


def _synthesizer(sample: Sample, provenance: Mapping[str, Any], source: Source) -> dict[str, Any]:
    details = {"options": source.options, "drawn": provenance["details"]}
    return {
        **source.synthesizer,
        "seed": sample.seed,
        "size": source.size,
        "batch_size": provenance["batch_size"],
        "details": json.dumps(details, sort_keys=True),
    }
