"""What a reader of an evaluation has to know beside its numbers, as sentences."""

from __future__ import annotations

from collections.abc import Sequence

from advgen.evaluate.robustness.results import Evaluation, ModelResult

TOLERANCE = 1e-4
"""Difference of margins up to which a model counts as scored as before: last bits of batches."""


def notes(evaluation: Evaluation) -> list[str]:
    """What a reader has to know beside the numbers, as sentences."""
    data = evaluation.data
    said = []
    if data.clean is None:
        said.append(
            "No clean control was given: a low accuracy here may be that of a model which cannot"
            " tell the classes apart on any image."
        )
    if data.only_fooled:
        said.append(
            "The data set holds only images that fooled the attacked model, so that model's success"
            " is 100 % by choice, and its comparisons with others say how much transfers, not which"
            " model is weaker."
        )
    if data.unverified:
        said.append(
            f"Nobody verified {data.unverified} of the {data.rows} images; they count all the same."
        )
    for what, images in (("image", data.left_out), ("clean image", data.clean_left_out)):
        if images:
            many = "1 was" if len(images) == 1 else f"{len(images)} were"
            said.append(
                f"Of unusable {what}s, {many} left out for all models, e.g. {images[0].name}:"
                f" {images[0].reason}."
            )
    said += _same_weights(evaluation.models)
    said += [text for model in evaluation.models if (text := _as_before(model))]
    if data.drawn:
        said.append("The images are drawn by the sandbox; they say nothing of natural images.")
    return said


def _same_weights(models: Sequence[ModelResult]) -> list[str]:
    names: dict[str, list[str]] = {}
    for model in models:
        names.setdefault(model.weights_sha256, []).append(model.name)
    return [
        f"{' and '.join(alike)} have the same weights: their tests are the same ones told twice,"
        " and a leaderboard keeps the last of them."
        for alike in names.values()
        if len(alike) > 1
    ]


def _as_before(model: ModelResult) -> str:
    if model.recorded_difference is None:
        return ""
    largest = f"{model.recorded_difference:.1e}"
    if model.recorded_difference <= TOLERANCE:
        return f"{model.name} scores its own images as recorded, off by {largest} at most."
    return (
        f"{model.name} does not score its own images as recorded: margins differ by up to"
        f" {largest}. Other prompts or other preprocessing than the attack's do that."
    )
