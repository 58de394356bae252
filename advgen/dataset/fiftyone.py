"""`fiftyone.yml`: how FiftyOne reads the rows from a Hub repository."""

from __future__ import annotations

from collections.abc import Mapping


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
    return fiftyone_yaml(config)


def fiftyone_yaml(values: Mapping[str, object]) -> str:
    """A config of FiftyOne as YAML, with its tags."""
    import yaml

    return yaml.safe_dump({**values, "tags": ["fiftyone", "image", "image-classification"]})
