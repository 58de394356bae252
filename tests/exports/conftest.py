"""Small built datasets and runs by hand, and a reader of JSON schemas."""

import hashlib
import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from advgen.attack.records_file import write_records
from advgen.dataset import features
from advgen.records import Sample

AWKWARD = [
    {"id": "r/dog/d00-i000", "description": '=HYPERLINK("http://x")'},
    {"id": "../../etc/passwd", "description": "a dog;=1+1"},
    {"id": "con", "description": "<script>alert(1)</script>"},
    {"id": "A/b", "true_class": "Käse\n{0}", "target_class": "@sum", "description": "@sum(A1)"},
    {"id": "a/B", "true_class": "Käse\n{0}", "target_class": "@sum", "description": "-1"},
    {"id": "é" * 200, "description": "\u2028line"},
]


def png(number: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), (number % 256, number // 256, 9)).save(buffer, "PNG")
    return buffer.getvalue()


def dataset_row(number: int, columns: Mapping[str, Any]) -> dict[str, Any]:
    image = columns.get("bytes", png(number))
    row = {name: None for name in features()}
    row |= {
        "image": {"bytes": image, "path": "x.png"},
        "id": f"r/d00-i{number:03d}",
        "true_class": "dog",
        "target_class": "deer",
        "description": "a dog in a wood",
        "words": [{"word": "antlers", "score": 0.5, "neurons": []}],
        "margin": -0.25,
        "verification": {
            "status": "verified",
            "by": "sandbox",
            "reason": "",
            "judges": [{"name": "vlm"}, {"name": "owl"}],
            "p_true_present": 0.875,
            "p_target_absent": 0.25,
        },
        "sha256": hashlib.sha256(image).hexdigest(),
    }
    return row | {name: value for name, value in columns.items() if name != "bytes"}


@pytest.fixture
def make_built(tmp_path: Path) -> Callable[..., Path]:
    """Makes a built dataset: a row per dict of columns, the rest filled in."""

    def make(
        rows: Sequence[Mapping[str, Any]], *, name: str = "built", files: int = 1, **build: Any
    ) -> Path:
        root, written = tmp_path / name, {}
        (root / "data").mkdir(parents=True)
        full = [dataset_row(number, columns) for number, columns in enumerate(rows)]
        schema, part = features().arrow_schema, -(-len(full) // files)
        for number in range(files):
            path = f"data/test-{number:05d}-of-{files:05d}.parquet"
            some = full[number * part : (number + 1) * part]
            pq.write_table(pa.Table.from_pylist(some, schema=schema), root / path)
            written[path] = ""
        (root / "README.md").write_text("card")
        blank = {key: {} for key in ("counts", "settings", "configs", "licence")}
        document = {"format": 1, "files": written, **blank, **build}
        (root / "build.json").write_text(json.dumps(document))
        return root

    return make


@pytest.fixture
def make_run(tmp_path: Path, make_sample: Callable[..., Sample]) -> Callable[..., Path]:
    """Makes a run directory with some images."""

    def make(count: int = 3, name: str = "run") -> Path:
        root, samples = tmp_path / name, []
        for number in range(count):
            path, image = f"images/i{number}.png", png(number)
            (root / "images").mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(image)
            known = {"sha256": hashlib.sha256(image).hexdigest(), "path": path}
            samples.append(
                make_sample(
                    id=f"dog-deer/i{number}",
                    true_class="dog",
                    target_class="deer",
                    judge="sandbox",
                    p_true_present=1.0,
                    p_target_absent=0.0,
                    **known,
                )
            )
        write_records(samples, root / "records.parquet")
        return root

    return make


@pytest.fixture
def awkward(make_built: Callable[..., Path]) -> Path:
    """Ids, classes and texts that go wrong where somebody trusts them."""
    return make_built(AWKWARD, files=2)


@pytest.fixture(scope="session")
def conforms() -> Callable[[Any, str], None]:
    """Asserts that a value is as `schemas/NAME.json` says."""

    def check(value: Any, name: str) -> None:
        path = Path(__file__).parent / "schemas" / f"{name}.json"
        schema = json.loads(path.read_text(encoding="utf-8"))
        assert schema["$comment"].startswith("Source: http")
        _check(value, schema, "$")

    return check


_TYPES = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool}
_TYPES |= {"number": (int, float), "null": type(None)}
_KEYWORDS = {"$schema", "$comment", "title", "type", "enum", "pattern", "minimum", "maximum"}
_KEYWORDS |= {"required", "properties", "additionalProperties", "items", "minItems", "maxItems"}
_KEYWORDS |= {"anyOf"}


def _check(value: Any, schema: Mapping[str, Any], at: str) -> None:
    """The part of JSON Schema that the schemas here use."""
    assert set(schema) <= _KEYWORDS, f"{at}: a keyword that is not checked"
    if "anyOf" in schema:
        assert any(_fits(value, choice, at) for choice in schema["anyOf"]), f"{at}: {value!r}"
    kinds = schema.get("type", list(_TYPES))
    kinds = [kinds] if isinstance(kinds, str) else kinds
    fitting = [kind for kind in kinds if isinstance(value, _TYPES[kind])]
    assert fitting and (not isinstance(value, bool) or "boolean" in fitting), f"{at}: {value!r}"
    assert value in schema.get("enum", [value]), f"{at}: {value!r}"
    if isinstance(value, str):
        assert re.search(schema.get("pattern", ""), value), f"{at}: {value!r}"
    if isinstance(value, int | float) and not isinstance(value, bool):
        assert schema.get("minimum", value) <= value <= schema.get("maximum", value), at
    if isinstance(value, list):
        assert schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)), at
        for number, item in enumerate(value):
            _check(item, schema.get("items", {}), f"{at}[{number}]")
    if isinstance(value, dict):
        assert set(schema.get("required", ())) <= set(value), f"{at}: {sorted(value)}"
        known, others = schema.get("properties", {}), schema.get("additionalProperties", True)
        for key, item in value.items():
            assert key in known or others is not False, f"{at}.{key}"
            _check(item, known.get(key, others if isinstance(others, dict) else {}), f"{at}.{key}")


def _fits(value: Any, schema: Mapping[str, Any], at: str) -> bool:
    try:
        _check(value, schema, at)
    except AssertionError:
        return False
    return True
