import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from doubles.runs import write_run

from advgen.dataset import BuildSettings, build_dataset
from advgen.generation.layout import RunLayout


@pytest.fixture(scope="session", autouse=True)
def offline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Arrow copies go into the test's own folder."""
    import datasets

    before = datasets.config.HF_DATASETS_CACHE
    datasets.config.HF_DATASETS_CACHE = tmp_path_factory.mktemp("datasets")
    os.environ["HF_HUB_OFFLINE"] = "1"
    yield
    datasets.config.HF_DATASETS_CACHE = before


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunLayout:
    """Six verified images; never changed."""
    return write_run(tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture(scope="session")
def release(tmp_path_factory: pytest.TempPathFactory, run: RunLayout) -> Path:
    """The dataset of `run`; never changed."""
    out = tmp_path_factory.mktemp("release") / "dog-deer"
    build_dataset([run.root], out, BuildSettings(created_at="2026-01-31"))
    return out
