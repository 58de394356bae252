"""Label Studio: tasks with predictions, the labelling interface, and how to start it.

Formats: https://labelstud.io/guide/task_format and https://labelstud.io/tags/choices.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from advgen.exports.files import write_file, write_json_list
from advgen.exports.names import ImageNames
from advgen.exports.protocol import REASONS, ExportOptions
from advgen.exports.questions import (
    ANSWERS,
    TARGET_VISIBLE,
    TRUE_VISIBLE,
    WHY,
    questions,
    suggested,
)
from advgen.exports.source import Row, Source

IMAGE = "image"
SERVED = "/data/local-files/?d="
_LAUNCH = """#!/bin/sh
# Serves the images of this folder to Label Studio, which must be installed:
#   pip install label-studio
# In the web page: create a project; Labeling Setup > Custom template > Code: paste labels.xml;
# Settings > Cloud Storage > Add Source Storage > Local files, with the path printed below, save
# without syncing; then import tasks.json. Export the result as "JSON" (not JSON-MIN) and read it:
#   advgen dataset import EXPORT.json --format label-studio --run RUN
cd "$(dirname "$0")" || exit 1
export LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true
export LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT="$PWD"
echo "Local files path: $PWD/images"
exec label-studio start "$@"
"""


class LabelStudio:
    """`images/`, `tasks.json`, `labels.xml` and `launch.sh`."""

    name = "label-studio"
    extra = None
    reads_runs = True

    def export(self, built: Source, out: Path, options: ExportOptions) -> list[Path]:
        """See `Exporter.export`."""
        images: list[Path] = []
        tasks = write_json_list(out / "tasks.json", _tasks(built, out, options, images))
        launch = write_file(out / "launch.sh", _LAUNCH)
        launch.chmod(0o755)
        return [*images, tasks, write_file(out / "labels.xml", labels_xml()), launch]


def labels_xml() -> str:
    """The labelling interface: the image, two questions, reasons against it."""
    view = ElementTree.Element("View")
    ElementTree.SubElement(view, "Image", name=IMAGE, value="$image", zoom="true")
    keys = iter("123456789")
    for field in (TRUE_VISIBLE, TARGET_VISIBLE):
        ElementTree.SubElement(view, "Header", value=f"${field}_question")
        required = {"choice": "single", "required": "true"}
        _choices(view, field, ANSWERS, required, keys)
    ElementTree.SubElement(view, "Header", value="Anything against the image?")
    _choices(view, WHY, REASONS, {"choice": "multiple"}, keys)
    ElementTree.SubElement(view, "Text", name="description", value="$description")
    ElementTree.indent(view)
    return ElementTree.tostring(view, encoding="unicode") + "\n"


def _choices(
    view: ElementTree.Element,
    field: str,
    answers: tuple[str, ...],
    settings: dict[str, str],
    keys: Iterator[str],
) -> None:
    attributes = {"name": field, "toName": IMAGE, "showInline": "true", **settings}
    choices = ElementTree.SubElement(view, "Choices", attributes)
    for answer in answers:
        ElementTree.SubElement(choices, "Choice", value=answer, hotkey=next(keys))


def _tasks(
    built: Source, out: Path, options: ExportOptions, images: list[Path]
) -> Iterator[dict[str, Any]]:
    names = ImageNames(len(built))
    for row in built.rows():
        path = f"images/{names.name(row)}"
        images.append(write_file(out / path, row.image))
        task: dict[str, Any] = {"data": _data(row, path)}
        if options.suggestions and row.judged is not None:
            task["predictions"] = [_prediction(row, row.judged[0])]
        yield task


def _data(row: Row, path: str) -> dict[str, str]:
    true_question, target_question = questions(row)
    return {
        "image": SERVED + path,
        "advgen_id": row.id,
        "sha256": row.sha256,
        f"{TRUE_VISIBLE}_question": true_question,
        f"{TARGET_VISIBLE}_question": target_question,
        "description": row.description,
    }


def _prediction(row: Row, judge: str) -> dict[str, Any]:
    answers = suggested(row)
    return {
        "model_version": judge,
        "score": min(probability for _answer, probability in answers.values()),
        "result": [
            {
                "type": "choices",
                "from_name": field,
                "to_name": IMAGE,
                "value": {"choices": [answer]},
            }
            for field, (answer, _probability) in answers.items()
        ],
    }
