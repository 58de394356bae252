"""Data sets of drawn images whose recorded verdicts come from one model or two."""

from collections.abc import Callable
from pathlib import Path

import pytest
from doubles.runs import change_rows, write_run

from advgen.dataset import BuildSettings, build_dataset
from advgen.records import Sample

OTHER = "f" * 64
"""Weights of an attacked model that nobody has here."""


def of_another(index: int, row: Sample) -> dict[str, object]:
    """Columns of a row that says it was made against another model, fooled by every second row."""
    fooled = index % 2 == 0
    margin = 0.25 if fooled else -0.25
    return {
        "attacked_model": "sandbox-a",
        "weights_sha256": OTHER,
        "cos_true": 0.5,
        "cos_target": 0.5 + margin,
        "margin": margin,
        "fooled": fooled,
    }


@pytest.fixture(scope="session")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six images against sandbox-a and five against another model of that name; never changed."""
    root = tmp_path_factory.mktemp("robustness")
    write_run(root / "first", ("dog:deer", "cat:fox"), 3)
    change_rows(write_run(root / "second", ("dog:deer",), 5, seed=1), of_another)
    build_dataset(
        [root / "first", root / "second"], root / "animals", BuildSettings(created_at="2026-01-31")
    )
    return root / "animals"


@pytest.fixture
def rewritten(release: Path, tmp_path: Path) -> Callable[..., Path]:
    """Makes a copy of the data set with changed rows, which `change(number, row)` returns."""
    import json
    import shutil

    import pyarrow.parquet as pq

    def make(change: Callable[[int, dict], dict | None], name: str = "changed") -> Path:
        root = tmp_path / name
        shutil.copytree(release, root)
        build = json.loads((root / "build.json").read_text())
        (file,) = build["files"]
        table = pq.read_table(root / file)
        rows = [change(number, row) for number, row in enumerate(table.to_pylist())]
        kept = [row for row in rows if row is not None]
        pq.write_table(table.from_pylist(kept, schema=table.schema), root / file, row_group_size=4)
        return root

    return make
