"""An evaluation from a data set's name to its records, model by model, none scored twice."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import torch

from advgen.attack.progress import Progress, Silent
from advgen.errors import AdvgenError, ConfigError, DataError, ModelError
from advgen.evaluate.robustness.clean import AUTO, CleanControl, clean_spec, open_clean
from advgen.evaluate.robustness.dataset import open_data
from advgen.evaluate.robustness.results import Evaluation
from advgen.evaluate.robustness.score_file import ScoreFile
from advgen.evaluate.robustness.scores import (
    BATCH,
    Questions,
    Scores,
    row_questions,
    score_model,
)
from advgen.evaluate.robustness.summary import ScoredModel, summarise
from advgen.models import ClipModel, load_clip
from advgen.models.text import check_template
from advgen.store import require_writable

MODELS, CLEAN = "models", "clean"
_MOST_WORKERS = 8


@dataclass(frozen=True, slots=True)
class EvaluationSettings:
    """What is evaluated, and how.

    Attributes:
        models: Names as `load_clip` takes them; one that is named twice counts once.
        clean: Labelled image set, `auto` (the sandbox's own for what the sandbox drew) or `none`.
        templates: Prompts instead of those that the attacks used.
        batch_size: Images per pass.
        device: Torch device, or `auto`.
        workers: Processes that read ahead; None: none on a CPU, up to eight beside a GPU.
        seed: Of the intervals over descriptions.

    Raises:
        ConfigError: If no model is named, or a template has no place for the class or another one.
    """

    models: tuple[str, ...]
    clean: str = AUTO
    templates: tuple[str, ...] = ()
    batch_size: int = BATCH
    device: str = "auto"
    workers: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the values."""
        if not self.models:
            raise ConfigError("name at least one model: --model NAME")
        object.__setattr__(self, "models", tuple(dict.fromkeys(self.models)))
        for template in self.templates:
            check_template(template)


@dataclass(frozen=True)
class Evaluated:
    """What came of a walk.

    Attributes:
        evaluation: What was found of the models that could be scored.
        failures: Why the others could not, by name.
    """

    evaluation: Evaluation
    failures: dict[str, str]


def evaluate_models(
    source: str, settings: EvaluationSettings, out: Path, progress: Progress | None = None
) -> Evaluated:
    """Show a data set to models; scores that lie in `out` already are taken from there.

    Args:
        source: A built data set's folder, or `hf:OWNER/NAME[@REVISION]`.
        settings: What is evaluated.
        out: Folder of the scores; one file per model.
        progress: Told what happens.

    Raises:
        DataError: If the data set or the clean images cannot be used.
        ModelError: If no model could be scored.
        StoreError: If `out` cannot be written.
    """
    progress = progress or Silent()
    progress.stage("opening the data set")
    data = open_data(source, settings.templates)
    rows = row_questions(data)
    spec = clean_spec(settings.clean, data)
    if spec is not None:
        progress.stage("finding the clean images")
    control = None if spec is None else open_clean(spec, data)
    require_writable(out)
    walk = _Walk(settings, out, progress, rows, control)
    scored, failures = [], {}
    for name in settings.models:
        try:
            scored.append(walk.scored(name))
        except ModelError as error:
            failures[name] = str(error)
            if len(settings.models) > 1:
                progress.note(f"{name} was left out: {error}")
    if not scored:
        raise ModelError(_nothing(failures))
    return Evaluated(summarise(data, control, scored, settings.seed), failures)


def _nothing(failures: dict[str, str]) -> str:
    name, reason = next(iter(failures.items()))
    if len(failures) == 1:
        return f"{name} could not be scored: {reason}"
    return f"none of the {len(failures)} models could be scored, e.g. {name}: {reason}"


@dataclass(frozen=True)
class _Walk:
    settings: EvaluationSettings
    out: Path
    progress: Progress
    rows: Questions
    control: CleanControl | None

    def scored(self, name: str) -> ScoredModel:
        """A model's scores, from its files or from its mouth.

        Raises:
            ModelError: If it cannot be loaded or asked.
        """
        self.progress.stage(f"loading {name}")
        clip = _load(name, _device(self.settings.device))
        rows = self._answers(name, clip, self.rows, MODELS, f"scoring with {name}")
        clean = None
        if self.control is not None:
            stage = f"clean images with {name}"
            clean = self._answers(name, clip, self.control.questions, CLEAN, stage)
        return ScoredModel(name, clip.weights_sha256, rows, clean)

    def _answers(
        self, name: str, clip: ClipModel, questions: Questions, folder: str, stage: str
    ) -> Scores:
        kept = ScoreFile.of(self.out / folder, name, clip, questions)
        scores, reason = kept.read(questions)
        if scores is not None and _usable_now(questions, scores):
            scores, reason = None, "images that could not be used then can be used now"
        if scores is not None:
            self.progress.stage(f"{stage}: done before")
            return scores
        if reason:
            self.progress.note(f"{kept.path.name} is not used, {reason}; {name} is scored again")
        total = len(questions.images)
        self.progress.stage(stage, total=total)
        workers = self.settings.workers
        scores = score_model(
            clip,
            questions,
            batch_size=self.settings.batch_size,
            workers=_workers(clip) if workers is None else workers,
            progress=self.progress,
        )
        if len(scores.skipped) == total:
            first = scores.skipped[0]
            raise DataError(
                f"none of the {total} images of {questions.images.name} can be used, e.g."
                f" {first.name} ({first.reason}); replace them"
            )
        kept.write(questions, scores)
        return scores


def _usable_now(questions: Questions, scores: Scores) -> bool:
    """Whether one of the images that were left out has been mended since."""
    for image in scores.skipped:
        try:
            questions.images[image.index]
        except DataError:
            continue
        return True
    return False


def _load(name: str, device: str) -> ClipModel:
    try:
        return load_clip(name, device=device)
    except ModelError:
        raise
    except torch.OutOfMemoryError as error:
        raise ModelError(
            f"{name} does not fit into the memory of the device; free some, or choose another:"
            " --device"
        ) from error
    except AdvgenError as error:
        raise ModelError(str(error)) from error


def _device(name: str) -> str:
    if name != "auto":
        return name
    return "cuda" if torch.cuda.is_available() else "cpu"


def _workers(clip: ClipModel) -> int:
    """Beside a CPU's own model other processes only get in the way."""
    if clip.device.type == "cpu":
        return 0
    return max(0, min(_MOST_WORKERS, (os.cpu_count() or 1) - 1))
