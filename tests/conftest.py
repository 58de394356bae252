"""Fixtures that every room's tests share."""

import dataclasses
import os
import random
from collections.abc import Callable
from pathlib import Path

import jaxtyping
import numpy as np
import pytest
import torch
from hypothesis import settings

from advgen.records import Sample

pytest_plugins = [
    "doubles.browser",
    "doubles.chat",
    "doubles.clip",
    "doubles.diffusion",
    "doubles.sentences",
]

# Shapes and types in the signatures of the rooms that pass tensors are checked at every call.
# Tests import these rooms after this file, so the hook sees all of them.
TENSOR_ROOMS = (
    "models.open_clip_model",
    "models.hf_model",
    "models.text",
    "models.vision",
    "lens",
    "text",
    "mining",
    "scoring",
    "attack",
    "neurons",
    "experiments",
    "evaluate",
    "sandbox.clip",
    "sandbox.measure",
    "sandbox.tokenizer",
    "sandbox.training",
)
jaxtyping.install_import_hook([f"advgen.{room}" for room in TENSOR_ROOMS], "beartype.beartype")

# Cores are shared with other jobs, so a wall-clock limit per example would fail at random.
settings.register_profile("advgen", deadline=None, max_examples=60)
settings.load_profile("advgen")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Small tensors are slower on many threads than on one."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def seeds() -> None:
    """Every test starts from the same global random state, whatever ran before it."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture
def shapes_unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets a wrong shape through to the function's own check."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of shared material (oracles, photos, pools) beside the checkout."""
    folder = Path(os.environ.get("ADVGEN_SHARED", ROOT.parent / "shared"))
    if not folder.is_dir():
        pytest.skip(f"no shared material at {folder}; set ADVGEN_SHARED")
    return folder


@pytest.fixture(scope="session")
def make_sample() -> Callable[..., Sample]:
    """Makes a row of `records.parquet` from the columns that matter to a test."""
    blank = {"str": "", "int": 0, "float": 0.0, "float | None": 0.0, "bool": False}
    blank["tuple[str, ...]"] = ()
    empty = {field.name: blank[str(field.type)] for field in dataclasses.fields(Sample)}

    def make(**columns: object) -> Sample:
        return Sample(**{**empty, **columns})  # type: ignore[arg-type]

    return make
