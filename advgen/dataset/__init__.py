"""The release: rows of runs as one dataset with a card, a licence and metadata for machines."""

from advgen.dataset.build import build_dataset
from advgen.dataset.reading import Built, DatasetLayout, read_built
from advgen.dataset.rows import features
from advgen.dataset.settings import BuildReport, BuildSettings

__all__ = [
    "BuildReport",
    "BuildSettings",
    "Built",
    "DatasetLayout",
    "build_dataset",
    "features",
    "read_built",
]
