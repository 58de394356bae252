"""One judge on the images of one run: what was judged before is kept, what cannot be is named."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from advgen.attack.progress import Progress, Silent
from advgen.attack.records_file import read_records
from advgen.decisions import Judgement
from advgen.errors import GenerationError
from advgen.generation.layout import RunLayout, decode_png
from advgen.judging.judgement_file import JudgementFile
from advgen.records import ClassPair, Sample, Verdict
from advgen.scoring.judges import BatchJudge, Look


@dataclass(frozen=True, slots=True)
class Skipped:
    """An image that was not judged, and why."""

    id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Choice:
    """Which images are judged, and how many at once.

    Attributes:
        batch_size: Images that the judge looks at together.
        limit: The first so many; None for all.
        only_fooled: Only those that fooled the attacked model.
    """

    batch_size: int = 8
    limit: int | None = None
    only_fooled: bool = False

    def __post_init__(self) -> None:
        """Check the numbers."""
        if self.batch_size < 1 or (self.limit is not None and self.limit < 1):
            raise ValueError(f"expected numbers of at least 1; got {self}")


@dataclass(frozen=True, slots=True)
class Judged:
    """What one judge did on one run.

    Attributes:
        judge: Its name.
        revision: Its revision.
        images: Images that were chosen.
        before: Those of them that were judged before.
        looked: Those that were judged now.
        skipped: Those that could not be.
    """

    judge: str
    revision: str
    images: int
    before: int
    looked: int
    skipped: tuple[Skipped, ...]


def judge_run(
    layout: RunLayout,
    judge: BatchJudge,
    choice: Choice | None = None,
    progress: Progress | None = None,
) -> Judged:
    """Have a judge look at the images of a run, and write down what it says.

    A judgement from before is kept when the image and the judge's revision are the same. Batches
    are cut from all chosen images, so that an answer does not depend on where a run was
    interrupted.

    Args:
        layout: The run.
        judge: Who looks.
        choice: Which images; all if None.
        progress: Listener.

    Raises:
        RunError: If the run has no records.
        DataError: If the file of judgements is damaged.
        ModelError: If the judge cannot be used as it is; what is judged so far is kept.
    """
    choice, progress = choice or Choice(), progress or Silent()
    samples = read_records(layout.records)
    chosen = [sample for sample in samples if sample.fooled or not choice.only_fooled]
    chosen = chosen[: choice.limit]
    file = JudgementFile(layout, judge.name)
    said = file.open()
    revision = judge.revision if chosen else ""
    done = {
        sample.id
        for sample in chosen
        if (row := said.get(sample.id)) is not None
        and (row.sha256, row.revision) == (sample.sha256, revision)
    }
    progress.stage(f"{judge.name} looks at {layout.root.name}", len(chosen), len(done))
    skipped: list[Skipped] = []
    for start in range(0, len(chosen), choice.batch_size):
        batch = chosen[start : start + choice.batch_size]
        left = [sample for sample in batch if sample.id not in done]
        if left:
            rows, faults = _look(layout, judge, batch)
            file.add([row for row in rows if row.id not in done])
            skipped += [fault for fault in faults if fault.id not in done]
            progress.advance(len(left))
    for fault in skipped:
        progress.note(f"{fault.id} was not judged: {fault.reason}")
    file.settle([sample.id for sample in samples])
    looked = len(chosen) - len(done) - len(skipped)
    return Judged(judge.name, revision, len(chosen), len(done), looked, tuple(skipped))


def _look(
    layout: RunLayout, judge: BatchJudge, batch: Sequence[Sample]
) -> tuple[list[Judgement], list[Skipped]]:
    """Judgements of a batch, and the images of it that could not be judged."""
    looks: dict[str, Look] = {}
    skipped: list[Skipped] = []
    for sample in batch:
        try:
            looks[sample.id] = _opened(layout, sample)
        except (OSError, ValueError) as error:
            skipped.append(Skipped(sample.id, str(error)))
    verdicts, faults = _verdicts(judge, looks)
    rows = []
    for sample in batch:
        verdict = verdicts.get(sample.id)
        if verdict is None:
            continue
        present, absent = verdict.true_present, verdict.target_absent
        if present is None or absent is None or not (0 <= present <= 1 and 0 <= absent <= 1):
            faults.append(Skipped(sample.id, f"{judge.name} gave no probability"))
            continue
        rows.append(
            Judgement(
                id=sample.id,
                sha256=sample.sha256,
                judge=judge.name,
                revision=judge.revision,
                p_true_present=present,
                p_target_absent=absent,
            )
        )
    return rows, skipped + faults


def _verdicts(
    judge: BatchJudge, looks: dict[str, Look]
) -> tuple[dict[str, Verdict], list[Skipped]]:
    """All together, or one by one when one of them gets no answer."""
    if not looks:
        return {}, []
    try:
        answers = judge.judge_many(list(looks.values()))
        return dict(zip(looks, answers, strict=True)), []
    except GenerationError as error:
        if len(looks) == 1:
            return {}, [Skipped(next(iter(looks)), str(error))]
    verdicts: dict[str, Verdict] = {}
    skipped: list[Skipped] = []
    for name, look in looks.items():
        found, faults = _verdicts(judge, {name: look})
        verdicts |= found
        skipped += faults
    return verdicts, skipped


def _opened(layout: RunLayout, sample: Sample) -> Look:
    """The image with what its synthesizer knows of it.

    Raises:
        ValueError: If it is not the image that was scored.
        OSError: If it cannot be read.
    """
    path = layout.root / sample.path
    if not path.resolve().is_relative_to(layout.root.resolve()):
        raise ValueError(f"{sample.path} lies outside the run")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ValueError(f"cannot read {sample.path} ({error.strerror})") from error
    if hashlib.sha256(data).hexdigest() != sample.sha256:
        raise ValueError(f"{sample.path} is not the image that was scored; repeat the attack")
    image, provenance = decode_png(data)
    truth: Any = provenance.get("truth")
    pair = ClassPair(sample.true_class, sample.target_class)
    return Look(image, pair, truth if isinstance(truth, dict) else {})
