"""A built data set of a test."""

import json
from pathlib import Path

from advgen.store import sha256_file

CARD = """---
license: cc-by-4.0
tags:
- clip
pretty_name: Drawn animals
configs:
- config_name: default
  data_files:
  - split: test
    path: data/test-*.parquet
---

<!-- advgen begins: rewritten by every build; write above or below -->
# Drawn animals

Made by a test.
<!-- advgen ends -->
"""


def seal(root: Path, card: str = CARD) -> Path:
    """Writes what stands beside the `data/*.parquet` of a built dataset."""
    files = {
        path.relative_to(root).as_posix(): {"sha256": sha256_file(path)}
        for path in sorted((root / "data").rglob("*.parquet"))
    }
    rest = {key: {} for key in ("counts", "settings", "configs", "licence")}
    (root / "build.json").write_text(json.dumps({"format": 1, "files": files, **rest}))
    (root / "README.md").write_text(card)
    (root / "croissant.json").write_text("{}")
    (root / "dropped.jsonl").write_text("")
    return root
