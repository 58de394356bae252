"""The data set that models are shown: its rows, and the prompts it was made with.

A folder that `advgen dataset build` made, or `hf:OWNER/NAME[@REVISION]`, the same on the Hub.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from advgen.dataset import Built, read_built
from advgen.errors import DataError
from advgen.evaluate.robustness.hub_data import HUB, fetch_data
from advgen.evaluate.robustness.row_images import RowImages
from advgen.records import ClassPair
from advgen.store import canonical_json, text_sha256

_COLUMNS = (
    "id",
    "run_id",
    "true_class",
    "target_class",
    "description",
    "attacked_model",
    "margin",
    "fooled",
    "synthesizer",
    "verification",
    "sha256",
)


@dataclass(frozen=True, slots=True)
class DataRow:
    """What an evaluation needs of a row.

    Attributes:
        id: Its own.
        pair: True class and target class.
        description: What was drawn; rows of one description belong together.
        attacked: Name of the attacked model.
        weights_sha256: Hash of its weights.
        margin: Recorded score of the attacked model.
        fooled: Recorded verdict of the attacked model.
        sha256: Of the image.
        templates: Prompts that the attacked model was asked with.
        verified: Whether a judge or people confirmed what it shows.
        synthesizer: What drew it.
    """

    id: str
    pair: ClassPair
    description: str
    attacked: str
    weights_sha256: str
    margin: float
    fooled: bool
    sha256: str
    templates: tuple[str, ...]
    verified: bool
    synthesizer: str


@dataclass(frozen=True)
class RobustnessData:
    """An opened data set.

    Attributes:
        name: Its folder's own name, or `hf:OWNER/NAME@COMMIT`.
        rows: In order.
        images: Their images, by the same numbers.
        licence: Name of its licence.
        only_fooled: Whether it holds only images that fooled the attacked model.
    """

    name: str
    rows: tuple[DataRow, ...]
    images: RowImages
    licence: str
    only_fooled: bool

    @cached_property
    def fingerprint(self) -> str:
        """Changes with any row or their order; where the data set lies is no part of it."""
        facts = [
            [row.sha256, str(row.pair), row.description, row.weights_sha256, row.fooled]
            for row in self.rows
        ]
        return text_sha256(canonical_json(facts))

    @property
    def drawn(self) -> bool:
        """Whether the sandbox drew all of it."""
        return all(row.synthesizer == "sandbox" for row in self.rows)


def open_data(source: str, templates: Sequence[str] = ()) -> RobustnessData:
    """Open a data set; its images are read when they are asked for.

    Args:
        source: A folder, or `hf:OWNER/NAME[@REVISION]`.
        templates: Prompts instead of those that the attacks used.

    Raises:
        DataError: If there is no such data set, it is damaged or empty, or does not say with which
            prompts it was made.
    """
    if source.startswith(HUB):
        name, folder = fetch_data(source.removeprefix(HUB))
    else:
        folder = Path(source).expanduser()
        name = folder.resolve().name
    built = read_built(folder)
    prompts = {} if templates else _prompts(built)
    try:
        rows = tuple(
            _row(row, tuple(templates) or prompts.get(row["run_id"], ()))
            for row in built.rows(_COLUMNS)
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"the rows of {source} are malformed ({error!r}); build it anew") from error
    if not rows:
        raise DataError(f"the data set {source} has no rows; build it from runs that have some")
    _require_prompts(source, rows)
    return RobustnessData(
        name,
        rows,
        RowImages(built.files, [(row.id, row.sha256) for row in rows], name),
        str(built.build["licence"].get("name") or built.build["licence"].get("identifier") or ""),
        bool(built.build["settings"].get("only_fooled", False)),
    )


def _prompts(built: Built) -> dict[str, tuple[str, ...]]:
    """The templates of each run by its id, as far as `build.json` says them."""
    found = {}
    for run in built.build.get("runs", ()):
        try:
            found[run["run_id"]] = tuple(map(str, run["config"]["model"]["templates"]))
        except (KeyError, TypeError):
            continue
    return found


def _row(row: Mapping[str, Any], templates: tuple[str, ...]) -> DataRow:
    return DataRow(
        id=row["id"],
        pair=ClassPair(row["true_class"], row["target_class"]),
        description=row["description"],
        attacked=row["attacked_model"]["name"],
        weights_sha256=row["attacked_model"]["weights_sha256"],
        margin=float(row["margin"]),
        fooled=bool(row["fooled"]),
        sha256=row["sha256"],
        templates=templates,
        verified=row["verification"]["status"] == "accepted",
        synthesizer=row["synthesizer"]["name"],
    )


def _require_prompts(source: str, rows: Sequence[DataRow]) -> None:
    lost = [row.id for row in rows if not row.templates]
    if lost:
        raise DataError(
            f"{source} does not say with which prompts {lost[0]} was made; give them, e.g."
            " --template 'a photo of {article} {noun}.'"
        )
