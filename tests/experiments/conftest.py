"""A sandbox CLIP with a few drawn images; the means and directions of D come from others."""

from __future__ import annotations

from pathlib import Path

import pytest

from advgen.attack.progress import Silent
from advgen.experiments import Subject, experiment_preset, open_subject
from advgen.store import ArtifactStore

SMALL = {
    "images": "sandbox:24?single=1&size=60",
    "lens_images": "sandbox:20?size=60",
    "top_images": 6,
}


@pytest.fixture(scope="session")
def small_store(tmp_path_factory: pytest.TempPathFactory) -> ArtifactStore:
    return ArtifactStore(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="session")
def make_subject(small_store: ArtifactStore):
    """Opens a subject on few images, with some settings changed."""

    def make(**changes: object) -> Subject:
        return open_subject(
            experiment_preset("sandbox", **{**SMALL, **changes}), small_store, Silent()
        )

    return make


@pytest.fixture(scope="session")
def small_subject(make_subject) -> Subject:
    return make_subject()


@pytest.fixture(scope="session")
def unlabelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one picture and no class."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("unlabelled")
    Image.new("RGB", (64, 64), "teal").save(folder / "one.png")
    return folder
