"""FiftyOne: `FiftyOneImageClassificationDataset` on disk, and the config of a Hub repository."""

from __future__ import annotations

from pathlib import Path

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
            write_file(out / "fiftyone.yml", _yaml(config)),
        ]


def hub_config(name: str, licence: str | None = None) -> str:
    """`fiftyone.yml` of a Hub repository with the built Parquet files.

    With it `fiftyone.utils.huggingface.load_from_hub(REPO)` needs no further arguments.
    """
    config: dict[str, object] = {
        "classification_fields": ["true_class", "target_class"],
        "filepath": "image",
        "format": "ParquetFilesDataset",
        "name": name,
    }
    if licence is not None:
        config["license"] = licence
    return _yaml(config)


def _yaml(values: dict) -> str:
    import yaml

    return yaml.safe_dump({**values, "tags": ["fiftyone", "image", "image-classification"]})
