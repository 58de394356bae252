"""Checking a built dataset: is it what `build.json` says, and do its numbers hold?"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from advgen.dataset.card import BEGIN, read_front_matter
from advgen.dataset.croissant import croissant_fault
from advgen.dataset.duplicates import Seen, perceptual_hash
from advgen.dataset.findings import Finding, Verdict, finding
from advgen.dataset.reading import Built, DatasetLayout, read_built
from advgen.dataset.rescoring import check_margins, check_redraws
from advgen.dataset.rows import features
from advgen.errors import ConfigError, DataError
from advgen.generation.layout import decode_png
from advgen.store import sha256_file

SAMPLE = 32
"""Images that are scored and drawn again unless the caller says otherwise."""


def verify_dataset(root: Path | str, *, sample: int = SAMPLE) -> Verdict:
    """Check files, schema, every image, duplicates, counts, card, metadata; score a sample again.

    Args:
        root: A built dataset.
        sample: How many images are scored and drawn again, by the seed of the build.

    Raises:
        DataError: If there is no dataset to check.
        ValueError: If `sample` is negative.
    """
    if sample < 0:
        raise ValueError(f"expected a sample of 0 or more images; got {sample}")
    built = read_built(root)
    findings = [_files(built), _schema(built)]
    if findings[1].outcome == "ok":
        findings += _rows(built)
        chosen = _chosen(built, sample)
        findings += [check_margins(chosen, built.build), check_redraws(chosen)]
    findings += [_card(built), _croissant(built), _dropped(built)]
    return Verdict(tuple(findings))


def _files(built: Built) -> Finding:
    faults = [
        f"{path.relative_to(built.root)} differs from build.json (SHA-256)"
        for path in built.files
        if sha256_file(path)
        != built.build["files"][path.relative_to(built.root).as_posix()].get("sha256")
    ]
    there = {
        path.relative_to(built.root).as_posix() for path in built.root.glob("data/**/*.parquet")
    }
    faults += [
        f"build.json does not know {name}" for name in sorted(there - set(built.build["files"]))
    ]
    return finding("files", faults, f"{len(built.files)} files as build.json says")


def _schema(built: Built) -> Finding:
    import pyarrow as pa
    import pyarrow.parquet as pq

    wanted = features().arrow_schema
    faults = []
    for path in built.files:
        name = path.relative_to(built.root).as_posix()
        try:
            found = pq.read_schema(path)
        except (OSError, pa.ArrowInvalid) as error:
            faults.append(f"{name} cannot be read ({error})")
            continue
        for field in wanted:
            if field.name not in found.names:
                faults.append(f"{name} lacks the column {field.name}")
            elif found.field(field.name).type != field.type:
                faults.append(f"{name}: {field.name} is {found.field(field.name).type}")
        faults += [
            f"{name} has the column {extra}" for extra in found.names if extra not in wanted.names
        ]
    return finding("schema", faults, f"{len(wanted.names)} columns")


def _rows(built: Built) -> list[Finding]:
    """Every image and every row, in one pass."""
    check = _RowCheck(built.build)
    try:
        for row in built.rows():
            check.add(row)
    except DataError as error:
        check.images.append(str(error))
    return check.findings()


class _RowCheck:
    """What is wrong with rows, collected one by one."""

    def __init__(self, build: Mapping[str, Any]) -> None:
        self._build = build
        self._seen = Seen(build["settings"]["near"])
        self._runs = {run["run_id"] for run in build["runs"]}
        self._ids: set[str] = set()
        self._count, self._fooled, self._accepted = 0, 0, 0
        self.images: list[str] = []
        self.twice: list[str] = []
        self.rows: list[str] = []

    def add(self, row: Mapping[str, Any]) -> None:
        """Look at a row and its image."""
        self._count += 1
        try:
            self._look(row)
        except (TypeError, KeyError, ValueError) as error:
            self.rows.append(f"row {self._count} cannot be checked ({error})")

    def findings(self) -> list[Finding]:
        """What all rows together say."""
        count, fooled, accepted = self._count, self._fooled, self._accepted
        faults = self.rows + _count_faults(self._build, count, fooled, accepted)
        return [
            finding("images", self.images, f"{count} images with the hashes of their rows"),
            finding("rows", faults, f"{count} rows, {fooled} fooled, {accepted} accepted"),
            finding("duplicates", self.twice, "none"),
        ]

    def _look(self, row: Mapping[str, Any]) -> None:
        name = row["id"]
        self._fooled += bool(row["fooled"])
        self._accepted += row["verification"]["status"] == "accepted"
        fault, phash = _image_fault(row)
        self.images += [f"{name}: {fault}"] if fault else []
        self.rows += [f"{name}: {text}" for text in _row_faults(row, self._runs)]
        self.twice += [f"the id {name} is there twice"] if name in self._ids else []
        self._ids.add(name)
        found = self._seen.add(name, row["sha256"], phash)
        self.twice += [f"{name} is the {found.reason} as {found.of}"] if found else []


def _image_fault(row: Mapping[str, Any]) -> tuple[str | None, str]:
    data = row["image"]["bytes"] or b""
    if hashlib.sha256(data).hexdigest() != row["sha256"]:
        return "the image differs from its sha256", row["phash"]
    try:
        image, provenance = decode_png(data)
    except ValueError as error:
        return str(error), row["phash"]
    phash = perceptual_hash(image)
    if phash != row["phash"]:
        return "the image differs from its phash", phash
    if (provenance.get("prompt"), provenance.get("seed")) != (
        row["description"],
        row["synthesizer"]["seed"],
    ):
        return "the row and the image's own provenance differ", phash
    return None, phash


def _row_faults(row: Mapping[str, Any], runs: set[str]) -> list[str]:
    faults = []
    if abs(row["cos_target"] - row["cos_true"] - row["margin"]) > 1e-5:
        faults.append("margin is not cos_target - cos_true")
    if row["fooled"] != (row["margin"] > 0):
        faults.append("fooled contradicts the margin")
    if row["run_id"] not in runs:
        faults.append(f"build.json has no run {row['run_id']}")
    return faults


def _count_faults(build: Mapping[str, Any], count: int, fooled: int, accepted: int) -> list[str]:
    counts = build["counts"]
    said = {
        "rows": (counts["rows"], count),
        "fooled": (sum(pair["released_fooled"] for pair in counts["pairs"].values()), fooled),
        "accepted": (counts["released_statuses"].get("accepted", 0), accepted),
    }
    faults = [
        f"build.json says {name} {wanted}, there are {found}"
        for name, (wanted, found) in said.items()
        if wanted != found
    ]
    if accepted != count and not build["settings"]["include_unverified"]:
        faults.append(f"{count - accepted} rows are not verified, and the build says all are")
    return faults


def _chosen(built: Built, sample: int) -> list[dict[str, Any]]:
    """Some rows, the same for the same build."""
    total = built.build["counts"]["rows"]
    wanted = set(random.Random(built.build["seed"]).sample(range(total), min(sample, total)))
    try:
        return [row for number, row in enumerate(built.rows()) if number in wanted]
    except DataError:
        return []


def _card(built: Built) -> Finding:
    faults = [] if BEGIN in built.card else ["the generated part is missing; build it anew"]
    try:
        data = read_front_matter(built.card)
    except DataError as error:
        return finding("card", [str(error)], "")
    licence = built.build["licence"]
    if data.get("license") != licence["identifier"]:
        faults.append(
            f"the card says licence {data.get('license')}, build.json {licence['identifier']}"
        )
    if data.get("license") == "other":
        faults += [
            f"{key} is missing" for key in ("license_name", "license_link") if not data.get(key)
        ]
    return finding("card", faults, f"licence {licence['name']}")


def _croissant(built: Built) -> Finding:
    path = DatasetLayout(built.root).croissant
    if not path.is_file():
        return finding("croissant", [f"{path.name} is missing"], "")
    try:
        fault = croissant_fault(path, built.build)
    except ConfigError as error:
        return Finding("croissant", "not checked", str(error))
    return finding("croissant", [fault] if fault else [], "valid, with rai fields")


def _dropped(built: Built) -> Finding:
    path = DatasetLayout(built.root).dropped
    wanted = sum(built.build["counts"]["dropped"].values())
    try:
        found = len(path.read_text(encoding="utf-8").splitlines())
    except OSError as error:
        return finding("dropped", [f"{path.name} cannot be read ({error.strerror})"], "")
    faults = [] if found == wanted else [f"{found} lines, build.json says {wanted}"]
    return finding("dropped", faults, f"{wanted} images left out, each with a reason")
