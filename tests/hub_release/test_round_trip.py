"""What `datasets.load_dataset` reads from the Hub is what was built, row for row."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from doubles.hub import WRITER, StubHub, seal
from PIL import Image

from advgen.dataset.rows import features
from advgen.dataset.shards import ShardWriter
from advgen.hub_release import push_dataset

REPO = "me/drawn"
LOADER = """
import json, sys
from datasets import Image, load_dataset
rows = load_dataset(sys.argv[1], split="test", revision=sys.argv[2])
assert str(rows.features["image"]) == "Image(mode=None, decode=True)", rows.features
assert rows[0]["image"].size == (4, 4)
rows = rows.cast_column("image", Image(decode=False)).to_list()
for row in rows:
    row["image"]["bytes"] = row["image"]["bytes"].hex()
print(json.dumps(rows))
"""
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


def filled(feature: Any, number: int) -> Any:
    """A value of a feature that differs from row to row."""
    if isinstance(feature, dict):
        return {name: filled(inner, number) for name, inner in feature.items()}
    if hasattr(feature, "feature"):
        return [filled(feature.feature, number + shift) for shift in range(number % 3)]
    if feature.dtype == "string":
        return f"text {number} \u00e9\U0001f98c"
    if feature.dtype == "bool":
        return number % 2 == 0
    return number + 0.1 if feature.dtype.startswith("float") else number


def built(root: Path, numbers: list[int]) -> list[dict[str, Any]]:
    """A built dataset with an image per number, two files of it; its rows."""
    rows = []
    for number in numbers:
        image = io.BytesIO()
        Image.new("RGB", (4, 4), (number, 0, 0)).save(image, "PNG")
        columns = {k: f for k, f in features().items() if k != "image"}
        picture = {"bytes": image.getvalue(), "path": f"{number}.png"}
        rows.append({"image": picture, **filled(columns, number)})
    half = len(rows) // 2 * len(rows[0]["image"]["bytes"])
    with ShardWriter(root / "data", shard_bytes=half) as writer:
        for row in rows:
            writer.add(row)
        assert len(writer.finish()) == 2
    seal(root)
    return rows


def loaded(hub: StubHub, home: Path, revision: str = "main") -> list[dict[str, Any]]:
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    result = subprocess.run(
        [sys.executable, "-c", LOADER, REPO, revision],
        env={
            **kept,
            "HF_ENDPOINT": hub.url,
            "HF_TOKEN": WRITER,
            "HF_HOME": str(home),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "OMP_NUM_THREADS": "1",
        },
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    rows = json.loads(result.stdout)
    for row in rows:
        row["image"]["bytes"] = bytes.fromhex(row["image"]["bytes"])
    return rows


def test_rows_come_back_as_they_were_built(hub: StubHub, tmp_path: Path) -> None:
    first = built(tmp_path / "first", [1, 2, 3, 4])
    push_dataset(tmp_path / "first", REPO, private=True)
    assert loaded(hub, tmp_path / "home") == first
    second = built(tmp_path / "second", [1, 2, 3, 9])
    hub.uploads.clear()
    pushed = push_dataset(tmp_path / "second", REPO)
    assert len(hub.uploads) == 1, "only the file with the changed row"
    assert loaded(hub, tmp_path / "home") == second
    old = str(pushed.plan.parent)
    assert loaded(hub, tmp_path / "home", old) == first, "the commit before is there for good"
