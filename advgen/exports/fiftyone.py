"""FiftyOne: `FiftyOneImageClassificationDataset` on disk."""

from __future__ import annotations

from pathlib import Path

from advgen.dataset.fiftyone import fiftyone_yaml
from advgen.exports.files import write_file, write_json
from advgen.exports.names import ImageNames
from advgen.exports.protocol import ExportOptions
from advgen.exports.source import Source


class FiftyOne:
    """`data/`, `labels.json` (the true class) and `fiftyone.yml`.

    Read by `fiftyone.Dataset.from_dir(DIR, fiftyone.types.FiftyOneImageClassificationDataset)`.
    """

    name = "fiftyone"
    extra = None
    reads_runs = False

    def export(self, built: Source, out: Path, options: ExportOptions) -> list[Path]:
        """See `Exporter.export`."""
        classes = built.classes()
        names, files, labels = ImageNames(len(built)), [], {}
        for row in built.rows():
            name = names.name(row)
            files.append(write_file(out / "data" / name, row.image))
            labels[name.rpartition(".")[0]] = classes.index(row.true_class)
        config = {"format": "FiftyOneImageClassificationDataset", "name": options.name}
        return [
            *files,
            write_json(out / "labels.json", {"classes": classes, "labels": labels}),
            write_file(out / "fiftyone.yml", fiftyone_yaml(config)),
        ]
