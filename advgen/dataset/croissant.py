"""`croissant.json`: what the dataset is, for machines, with responsible-AI (`rai:`) fields."""

from __future__ import annotations

import contextlib
import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from advgen.dataset.rows import SPLIT, features
from advgen.errors import ConfigError, DataError

if TYPE_CHECKING:
    from pathlib import Path

    import mlcroissant

SPECIFICATION = "http://mlcommons.org/croissant/1.0"
RAI_SPECIFICATION = "http://mlcommons.org/croissant/RAI/1.0"
_MALFORMED = (AssertionError, AttributeError, KeyError, OSError, TypeError, ValueError)
"""What mlcroissant raises where a file is no Croissant at all."""
PAPER = "https://arxiv.org/abs/2406.04341"


def make_croissant(build: Mapping[str, Any]) -> str:
    """The metadata of a build as JSON-LD text, checked by mlcroissant.

    Fields are the columns and the members of structs; lists of structs (`words`, the judges'
    answers) are left to the Parquet schema.

    Raises:
        ConfigError: If mlcroissant is not installed.
        DataError: If mlcroissant finds a fault.
    """
    mlc = _mlcroissant()
    try:
        with _quietly():
            metadata = _metadata(mlc, build)
        text = json.dumps(metadata.to_json(), indent=1, sort_keys=True, default=str) + "\n"
    except mlc.ValidationError as error:
        raise DataError(f"mlcroissant refuses the metadata: {error}") from error
    return text


def croissant_fault(path: Path, build: Mapping[str, Any]) -> str | None:
    """Why a `croissant.json` is not valid or not that of a build, or None.

    Raises:
        ConfigError: If mlcroissant is not installed.
    """
    mlc = _mlcroissant()
    try:
        with _quietly():
            found = mlc.Dataset(str(path)).metadata
    except (mlc.ValidationError, *_MALFORMED) as error:
        return str(error) or "it is no Croissant file"
    lacking = [name for name in _RAI if not getattr(found, name)]
    if lacking:
        return f"it lacks the rai field {lacking[0]}"
    said = {part.content_url: part.sha256 for part in found.distribution if hasattr(part, "sha256")}
    wanted = {name: facts["sha256"] for name, facts in build["files"].items()}
    return None if said == wanted else "its files are not those of build.json"


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Without deprecations of mlcroissant's own parser and its advice on optional properties."""
    log = logging.getLogger("absl")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            yield
    finally:
        log.setLevel(before)


def _mlcroissant() -> Any:
    try:
        import mlcroissant
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"croissant.json needs the package '{error.name}': pip install 'advgen[release]'"
        ) from error
    return mlcroissant


def _metadata(mlc: Any, build: Mapping[str, Any]) -> mlcroissant.Metadata:
    counts = build["counts"]
    licence = build["licence"]
    terms = [term["link"] or term["name"] for term in licence["terms"]]
    return mlc.Metadata(
        name=build["name"],
        description=(
            f"{counts['rows']} images that show one class and were drawn to be taken for another by"
            " a CLIP model, with the words and neurons behind each, scores and verification."
        ),
        conforms_to=[SPECIFICATION, RAI_SPECIFICATION],
        license=terms,
        cite_as=(
            "Gandelsman, Efros, Steinhardt: Interpreting the Second-Order Effects of Neurons in"
            " CLIP. arXiv:2406.04341, 2024."
        ),
        url=PAPER,
        same_as=[PAPER],
        **_dates(build["created_at"]),
        version="1.0.0",
        keywords=["adversarial", "CLIP", "robustness", "interpretability", "synthetic"],
        in_language=["en"],
        distribution=_distribution(mlc, build),
        record_sets=[_record_set(mlc, config) for config in build["configs"]],
        **_rai(build),
    )


def _dates(created_at: str | None) -> dict[str, datetime]:
    if created_at is None:
        return {}
    try:
        return {"date_published": datetime.fromisoformat(created_at.replace("Z", "+00:00"))}
    except ValueError as error:
        raise ConfigError(f"'{created_at}' is no date; write it as 2026-01-31") from error


def _distribution(mlc: Any, build: Mapping[str, Any]) -> list[Any]:
    kind = "application/x-parquet"
    files = [
        mlc.FileObject(
            id=path,
            name=path,
            content_url=path,
            content_size=f"{facts['bytes']} B",
            encoding_formats=[kind],
            sha256=facts["sha256"],
        )
        for path, facts in build["files"].items()
    ]
    sets = []
    for config in build["configs"]:
        folder = f"data/{config}" if build["settings"]["per_pair"] else "data"
        pattern = f"{folder}/{SPLIT}-*.parquet"
        sets.append(
            mlc.FileSet(
                id=f"files-{config}",
                name=f"files-{config}",
                encoding_formats=[kind],
                includes=[pattern],
            )
        )
    return [*files, *sets]


def _record_set(mlc: Any, config: str) -> Any:
    fields = [
        mlc.Field(
            id=f"{config}/{'.'.join(path)}",
            name=f"{config}/{'.'.join(path)}",
            data_types=[kind],
            source=mlc.Source(
                file_set=f"files-{config}",
                extract=mlc.Extract(column=path[0]),
                transforms=[mlc.Transform(json_path=step) for step in steps],
            ),
        )
        for path, kind, steps in _columns(mlc)
    ]
    return mlc.RecordSet(id=config, name=config, fields=fields)


def _columns(mlc: Any) -> Iterator[tuple[tuple[str, ...], Any, tuple[str, ...]]]:
    """Path, Croissant type and steps into the value, of every column that is no list."""
    from datasets import Image, Value

    types = {
        "string": mlc.DataType.TEXT,
        "float64": mlc.DataType.FLOAT,
        "int64": mlc.DataType.INTEGER,
        "bool": mlc.DataType.BOOL,
    }
    for name, kind in features().items():
        if isinstance(kind, Image):
            yield (name,), mlc.DataType.IMAGE_OBJECT, ("bytes",)
        elif isinstance(kind, Value):
            yield (name,), types[kind.dtype], ()
        elif isinstance(kind, dict):
            for member, inner in kind.items():
                if isinstance(inner, Value):
                    yield (name, member), types[inner.dtype], (member,)


def _rai(build: Mapping[str, Any]) -> dict[str, Any]:
    counts, settings = build["counts"], build["settings"]
    judged = ", ".join(f"{name}: {count}" for name, count in counts["verified_by"].items())
    tools = [name for name in counts["verified_by"] if name not in ("people", "nobody")]
    unverified = counts["rows"] - counts["released_statuses"].get("accepted", 0)
    models = {run["manifest"]["attacked_model"]["name"] for run in build["runs"]}
    drawn_by = {run["manifest"]["synthesizer"]["name"] for run in build["runs"]}
    return {
        "data_collection": (
            f"Drawn by {', '.join(sorted(drawn_by))} from sentences with words mined from neurons"
            f" of {', '.join(sorted(models))}; no photograph of a person or place was collected."
        ),
        "data_collection_type": ["Software Collection"],
        "data_preprocessing_protocol": [
            "Equal files and near duplicates left out"
            + (
                f" (perceptual hashes within {settings['near']} of 64 bits)."
                if settings["near"] is not None
                else " (equal files only)."
            )
        ],
        "data_annotation_protocol": [
            "Two questions per image: is the true class visible, is the target class absent?"
            f" {unverified} of {counts['rows']} images are not verified."
        ],
        "data_annotation_analysis": [f"Settled by {judged}."],
        "machine_annotation_tools": tools or ["none"],
        "data_use_cases": [
            "Robustness of zero-shot classifiers; not for claims about natural photographs."
        ],
        "data_biases": [
            "Selected against the attacked model; words, classes and scenes carry the biases of its"
            " training data, of the describer and of the synthesizer."
        ],
        "data_limitations": [
            "Synthetic images; success on other models is transfer; verification has errors."
        ],
        "data_social_impact": (
            "Shows failures of a widely used model so that they can be measured and mended; could"
            " be used to provoke them."
        ),
        "personal_sensitive_information": ["None known: all images are synthetic."],
        "data_release_maintenance_plan": (
            "Built anew from runs by advgen; build.json names all versions and hashes."
        ),
    }


_RAI = (
    "data_collection",
    "data_annotation_protocol",
    "data_biases",
    "data_limitations",
    "data_use_cases",
    "personal_sensitive_information",
)
