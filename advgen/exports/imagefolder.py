"""Hugging Face `imagefolder`: image files with a `metadata.jsonl` beside them.

Read by `datasets.load_dataset("imagefolder", data_dir=DIR, split="test")`.
"""

from __future__ import annotations

import json
from pathlib import Path

from advgen.exports.files import write_file
from advgen.exports.names import ImageNames
from advgen.exports.protocol import ExportOptions
from advgen.exports.source import Source


class ImageFolder:
    """`test/*.png` and `test/metadata.jsonl` with every column and `file_name`."""

    name = "imagefolder"
    extra = None
    reads_runs = False

    def export(self, built: Source, out: Path, options: ExportOptions) -> list[Path]:
        """See `Exporter.export`."""
        folder, names, files = out / "test", ImageNames(len(built)), []
        folder.mkdir()
        table = folder / "metadata.jsonl"
        with open(table, "w", encoding="utf-8", newline="\n") as lines:
            for row in built.rows():
                name = names.name(row)
                files.append(write_file(folder / name, row.image))
                values = {"file_name": name, **row.columns}
                lines.write(json.dumps(values, ensure_ascii=False, default=str) + "\n")
        return [*files, table]
