"""A pool of class descriptions as files: made class by class, continued where it stopped.

    NAME.txt     the descriptions, one per line, each once
    NAME.json    how they were made, what was dropped and why
    NAME.jsonl   the work so far: settings, then one line per class as it is done

The last is written first and holds everything; the other two follow when all classes are done.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from advgen.chat.prompt import ChatPrompt
from advgen.chat.protocol import ChatModel
from advgen.errors import GenerationError, RunError, StoreError
from advgen.store import canonical_json, write_atomic
from advgen.text.descriptions import (
    ClassDescriptions,
    DescribeSettings,
    describe_class,
    merge_classes,
)
from advgen.text.pools import TextPool

_FORMAT = 1


@dataclass(frozen=True, slots=True)
class DescriptionJob:
    """What to make, and where.

    Attributes:
        out: Text file to write, ending in `.txt`; the other files lie beside it.
        classes: Names of the classes, each once, in the order of the file.
        llm: Specification of the chat model.
        prompt: What it is asked.
        settings: Numbers, seed, temperature.
    """

    out: Path
    classes: tuple[str, ...]
    llm: str
    prompt: ChatPrompt
    settings: DescribeSettings

    @property
    def manifest(self) -> Path:
        """How the text file was made."""
        return self.out.with_suffix(".json")

    @property
    def log(self) -> Path:
        """The work so far."""
        return self.out.with_suffix(".jsonl")

    def header(self, chat: ChatModel | None = None) -> dict[str, Any]:
        """What must be the same for work to be continued; the model too, once it is open."""
        header: dict[str, Any] = {"format": _FORMAT, "llm": self.llm}
        if chat is not None:
            header |= {"model": chat.name, "revision": chat.revision}
        prompt = self.prompt
        header["prompt"] = f"{prompt.name} version {prompt.version} sha256 {prompt.revision}"
        return header | asdict(self.settings)


@dataclass(frozen=True, slots=True)
class DescriptionResult:
    """What a job gave.

    Attributes:
        texts: Number of descriptions in the text file.
        asked: Number of classes that were asked for now, not before.
        silent: Classes of which nothing was kept; the same command asks for them again.
        short: Classes with fewer descriptions than wanted.
    """

    texts: int
    asked: int
    silent: tuple[str, ...]
    short: tuple[str, ...]


def run_job(
    job: DescriptionJob,
    open_chat: Callable[[], ChatModel],
    on_class: Callable[[ClassDescriptions], None] = lambda _done: None,
) -> DescriptionResult:
    """Describe the classes that are not done yet, then write the pool and its manifest.

    Each class is on disk before the next one is asked for. A class without any description counts
    as not done.

    Args:
        job: What to make.
        open_chat: Opens the model; not called when nothing is left to ask.
        on_class: Told about each class as it is done.

    Raises:
        RunError: If the files beside `job.out` were made with other settings, or not by this.
        GenerationError: If no class got a description.
        StoreError: If the files cannot be written.
        ModelError: If the model or its server cannot be used; what is done stays done.
    """
    header, done = _read_log(job, repair=True)
    _check_header(job, header, job.header())
    pending = [name for name in job.classes if name not in done or not done[name].kept]
    if pending:
        chat = open_chat()
        try:
            header = _begin_log(job, header, chat)
            for name in pending:
                done[name] = describe_class(
                    chat, job.prompt, name, job.settings, before=done.get(name)
                )
                _append(job.log, done[name].as_json())
                on_class(done[name])
        finally:
            chat.close()
    ordered = [done[name] for name in job.classes]
    return _write_pool(job, header or {}, ordered, asked=len(pending))


def left_to_ask(job: DescriptionJob) -> int:
    """Number of classes that `run_job` would ask for; nothing is written.

    Raises:
        RunError: As `run_job` does.
    """
    header, done = _read_log(job, repair=False)
    _check_header(job, header, job.header())
    return sum(name not in done or not done[name].kept for name in job.classes)


def _read_log(
    job: DescriptionJob, *, repair: bool
) -> tuple[dict[str, Any] | None, dict[str, ClassDescriptions]]:
    """Settings and finished classes; a line that a kill cut off does not count."""
    try:
        data = job.log.read_bytes()
    except FileNotFoundError:
        _refuse_foreign(job)
        return None, {}
    except OSError as error:
        raise RunError(f"cannot read {job.log} ({error.strerror})") from error
    whole = data[: data.rfind(b"\n") + 1]
    if repair and len(whole) < len(data):
        write_atomic(job.log, whole)
    header: dict[str, Any] | None = None
    done: dict[str, ClassDescriptions] = {}
    for number, line in enumerate(whole.splitlines(), start=1):
        try:
            value = json.loads(line)
            if not isinstance(value, dict):
                raise ValueError("not an object")
            if number == 1:
                header = value
            else:
                one = ClassDescriptions.from_json(value)
                done[one.class_name] = one
        except ValueError as error:
            raise RunError(
                f"{job.log}, line {number}: not written by this command; remove the file to start "
                "anew, or choose another --out"
            ) from error
    return header, done


def _refuse_foreign(job: DescriptionJob) -> None:
    for path in (job.out, job.manifest):
        if path.exists():
            raise RunError(
                f"{path} exists but {job.log.name} does not, so it is not continued; "
                "choose another --out"
            )


def _check_header(
    job: DescriptionJob, found: dict[str, Any] | None, wanted: dict[str, Any]
) -> None:
    if found is None:
        return
    differing = [key for key in wanted if found.get(key) != wanted[key]]
    if differing:
        changes = "; ".join(f"{key} {found.get(key)}, now {wanted[key]}" for key in differing)
        raise RunError(f"{job.log} was begun otherwise ({changes}); choose another --out")


def _begin_log(
    job: DescriptionJob, found: dict[str, Any] | None, chat: ChatModel
) -> dict[str, Any]:
    header = job.header(chat)
    _check_header(job, found, header)
    if found is None:
        write_atomic(job.log, canonical_json(header) + "\n")
    return header


def _append(path: Path, value: dict[str, Any]) -> None:
    """Add a line and see it safely on disk."""
    line = (canonical_json(value) + "\n").encode("utf-8")
    try:
        with open(path, "ab") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise StoreError(
            f"cannot write {path} ({error.strerror}); free the space and run the same command again"
        ) from error


def _write_pool(
    job: DescriptionJob,
    header: dict[str, Any],
    classes: Sequence[ClassDescriptions],
    *,
    asked: int,
) -> DescriptionResult:
    texts, repeated = merge_classes(classes)
    if not texts:
        raise GenerationError(
            f"no class got a description ({_reasons(classes)}); use another model, or look at "
            f"{job.log}"
        )
    content = "".join(f"{text}\n" for text in texts)
    manifest = {
        **header,
        "texts": len(texts),
        "pool_sha256": TextPool(job.out.name, tuple(texts)).sha256,
        "file_sha256": hashlib.sha256(content.encode()).hexdigest(),
        "prompt_tokens": sum(one.tokens[0] for one in classes),
        "completion_tokens": sum(one.tokens[1] for one in classes),
        "answered_by": list(dict.fromkeys(name for one in classes for name in one.answered_by)),
        "classes": [
            {"name": one.class_name, "kept": len(one.kept), "rounds": one.rounds} for one in classes
        ],
        "repeated": [asdict(text) for text in repeated],
        "dropped": [
            {"class_name": one.class_name, **asdict(line)}
            for one in classes
            for line in one.dropped
        ],
    }
    write_atomic(job.out, content)
    write_atomic(job.manifest, canonical_json(manifest, indent=2) + "\n")
    wanted = job.settings.per_class
    return DescriptionResult(
        texts=len(texts),
        asked=asked,
        silent=tuple(one.class_name for one in classes if not one.kept),
        short=tuple(one.class_name for one in classes if 0 < len(one.kept) < wanted),
    )


def _reasons(classes: Iterable[ClassDescriptions]) -> str:
    counts: dict[str, int] = {}
    for one in classes:
        for line in one.dropped:
            counts[line.reason] = counts.get(line.reason, 0) + 1
    return ", ".join(f"{count} {reason}" for reason, count in sorted(counts.items())) or "no reply"
