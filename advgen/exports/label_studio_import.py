"""Votes out of Label Studio's JSON export.

Structure: https://labelstud.io/guide/task_format; `completed_by` is a number, or an object with
`id` in exports of snapshots.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from advgen.errors import DataError
from advgen.exports.questions import ANSWERS, TARGET_VISIBLE, TRUE_VISIBLE, WHY
from advgen.exports.votes import ImportReport, Vote

_MEANING = dict(zip(ANSWERS, (True, False, None), strict=True))


def label_studio_votes(text: str, report: ImportReport) -> Iterator[Vote]:
    """A vote per annotation that was submitted, oldest first.

    Reviewers are called `annotator N` after Label Studio's number: names and addresses of people
    stay in Label Studio.

    Args:
        text: The export.
        report: Gets what was skipped, empty or not understood.

    Raises:
        DataError: If it is no such export.
    """
    tasks = _tasks(text)
    annotations = [
        (str(one.get("updated_at") or one.get("created_at") or ""), number, task, one)
        for number, task in enumerate(tasks)
        for one in task["annotations"]
        if isinstance(one, Mapping)
    ]
    for _time, _number, task, one in sorted(annotations, key=lambda entry: entry[:2]):
        vote = _vote(task, one, report)
        if vote is not None:
            yield vote


def _tasks(text: str) -> list[dict[str, Any]]:
    try:
        tasks = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"not JSON ({error}); export from Label Studio as 'JSON'") from error
    whole = isinstance(tasks, list) and all(
        isinstance(task, dict)
        and isinstance(task.get("data"), dict)
        and isinstance(task.get("annotations"), list)
        for task in tasks
    )
    if not whole:
        raise DataError(
            "not a Label Studio export with data and annotations; export as 'JSON', not 'JSON-MIN'"
        )
    return tasks


def _vote(
    task: Mapping[str, Any], annotation: Mapping[str, Any], report: ImportReport
) -> Vote | None:
    if annotation.get("was_cancelled"):
        report.cancelled += 1
        return None
    data = task["data"]
    place = f"task {task.get('id', '?')}, annotation {annotation.get('id', '?')}"
    if not isinstance(data.get("advgen_id"), str):
        report.problems.append(f"{place}: the task has no advgen_id; it was not exported here")
        return None
    try:
        said = _choices(annotation.get("result"))
        answers = [_answer(said, field) for field in (TRUE_VISIBLE, TARGET_VISIBLE)]
    except ValueError as error:
        report.problems.append(f"{place}: {error}")
        return None
    if not said:
        report.empty += 1
        return None
    sha256 = data.get("sha256")
    return Vote(
        id=data["advgen_id"],
        sha256=sha256 if isinstance(sha256, str) else None,
        true_visible=answers[0],
        target_visible=answers[1],
        reasons=tuple(said.get(WHY, ())),
        reviewers=(_reviewer(annotation.get("completed_by")),),
    )


def _choices(result: Any) -> dict[str, list[str]]:
    """Field -> what was chosen."""
    if not isinstance(result, list):
        raise ValueError("it has no list of results")
    said: dict[str, list[str]] = {}
    for part in result:
        field = part.get("from_name") if isinstance(part, Mapping) else None
        if field not in (TRUE_VISIBLE, TARGET_VISIBLE, WHY):
            continue
        value = part.get("value")
        chosen = value.get("choices") if isinstance(value, Mapping) else None
        if not isinstance(chosen, list) or not all(isinstance(text, str) for text in chosen):
            raise ValueError(f"the choices of '{field}' are not a list of texts")
        if chosen:
            said[field] = chosen
    return said


def _answer(said: Mapping[str, list[str]], field: str) -> bool | None:
    chosen = said.get(field, ["unsure"])
    if len(chosen) != 1 or chosen[0] not in _MEANING:
        raise ValueError(f"'{field}' is {', '.join(chosen)}; expected one of {', '.join(ANSWERS)}")
    return _MEANING[chosen[0]]


def _reviewer(completed_by: Any) -> str:
    number = completed_by.get("id") if isinstance(completed_by, Mapping) else completed_by
    return "annotator ?" if number is None else f"annotator {number}"
