"""Writing into the folder of an export; the folder as a whole appears at once (`writing`)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def write_file(path: Path, data: bytes | str) -> Path:
    """Write bytes or UTF-8 text, making parent folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode("utf-8") if isinstance(data, str) else data)
    return path


def write_json(path: Path, value: Any) -> Path:
    """Write a JSON document for people and programs, keys in the order given."""
    return write_file(path, json.dumps(value, ensure_ascii=False, indent=1) + "\n")


def write_json_list(path: Path, values: Iterable[Any]) -> Path:
    """Write a JSON list item by item, a line each."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        mark = "["
        for value in values:
            file.write(f"{mark}\n{json.dumps(value, ensure_ascii=False)}")
            mark = ","
        file.write("[]\n" if mark == "[" else "\n]\n")
    return path
