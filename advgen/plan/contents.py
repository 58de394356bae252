"""What a plan holds."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

from advgen.catalogue import Need

ModelPlace = Literal["packaged", "folder", "hub", "elsewhere"]
ImagePlace = Literal["drawn", "folder", "hub"]


@dataclass(frozen=True, slots=True)
class PlannedModel:
    """A model that is loaded; None for what is not known of it.

    Attributes:
        role: What for.
        name: What the config calls it.
        place: `packaged` with advgen, a local `folder`, a repository on the `hub`, or `elsewhere`.
        need: Repository or folder, and which files of it.
        licence: Name of its licence.
        page: Where the licence is read, and accepted if it is gated.
        gated: Whether the Hub gives it only to those who accepted the licence.
        download_gb: About how much is fetched if it is not there yet, in 10^9 bytes.
        gpu_gb: About how much memory it takes, in 10^9 bytes.
        least_gb: The same when only the part at work is on the GPU, where that is possible.
        note: What else a user should know.
    """

    role: str
    name: str
    place: ModelPlace
    need: Need
    licence: str | None = None
    page: str = ""
    gated: bool | None = None
    download_gb: float | None = None
    gpu_gb: float | None = None
    least_gb: float | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class PlannedImages:
    """An image set that is read.

    Attributes:
        role: What for.
        spec: Its name in the config.
        place: `drawn` by advgen, a local `folder`, or a data set on the `hub`.
    """

    role: str
    spec: str
    place: ImagePlace


@dataclass(frozen=True, slots=True)
class Counts:
    """How much is written and drawn; a cell is a pair with a method in a repeat.

    Attributes:
        pairs: Pairs of classes.
        methods: Methods of mining.
        repeats: Repeats.
        cells: Pairs x methods x repeats.
        candidates: Sentences asked for.
        descriptions: Sentences that are drawn.
        askings: Least and most times that the describer is asked.
        images: Images that are kept and scored.
        draws: Most images that are drawn, those included that are flagged or black.
    """

    pairs: int
    methods: int
    repeats: int
    cells: int
    candidates: int
    descriptions: int
    askings: tuple[int, int]
    images: int
    draws: int


@dataclass(frozen=True, slots=True)
class Stage:
    """A step of the attack.

    Attributes:
        name: What is done.
        models: Roles of the models that are in memory meanwhile.
        gpu_gb: About how much memory those take whose size is known, in 10^9 bytes.
        least_gb: The same when an image model has only the part at work on the GPU (offloading).
        unknown: Roles of models whose size is not known.
    """

    name: str
    models: tuple[str, ...]
    gpu_gb: float
    least_gb: float
    unknown: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """An attack before it is run.

    Attributes:
        models: What is loaded.
        images: What image sets are read.
        pool: Text pool.
        counts: How much is written and drawn.
        stages: Steps in order; the describer is out of memory before images begin.
        files: What is written into the run directory: path, and what it is.
        online: What cannot be done without a network; empty when everything can.
    """

    models: tuple[PlannedModel, ...]
    images: tuple[PlannedImages, ...]
    pool: str
    counts: Counts
    stages: tuple[Stage, ...]
    files: tuple[tuple[str, str], ...]
    online: tuple[str, ...]

    @property
    def peak_gpu_gb(self) -> float:
        """About how much memory the largest step takes, in 10^9 bytes."""
        return max(stage.gpu_gb for stage in self.stages)

    @property
    def least_gpu_gb(self) -> float:
        """About how much memory has to be there even with offloading, in 10^9 bytes."""
        return max(stage.least_gb for stage in self.stages)

    @property
    def download_gb(self) -> float:
        """About how much is fetched when nothing is there yet, in 10^9 bytes."""
        fetched = {model.need.source: model.download_gb or 0.0 for model in self.models}
        return round(sum(fetched.values()), 2)

    @property
    def unknown_downloads(self) -> set[str]:
        """Roles of the models of which it is not known how much is fetched."""
        fetched = (model for model in self.models if model.place in ("hub", "elsewhere"))
        return {model.role for model in fetched if model.download_gb is None}

    @property
    def needs(self) -> list[Need]:
        """The models that are not packaged and have a repository or folder."""
        return [model.need for model in self.models if model.place in ("folder", "hub")]

    def to_json(self) -> dict[str, Any]:
        """Plain values, with the peak of memory and the sum of downloads."""
        plain = dataclasses.asdict(self)
        return {
            **plain,
            "peak_gpu_gb": self.peak_gpu_gb,
            "least_gpu_gb": self.least_gpu_gb,
            "download_gb": self.download_gb,
        }
