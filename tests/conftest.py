"""Fixtures that every room's tests share."""

import os
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings

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


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of shared material (oracles, photos, pools) beside the checkout."""
    folder = Path(os.environ.get("ADVGEN_SHARED", ROOT.parent / "shared"))
    if not folder.is_dir():
        pytest.skip(f"no shared material at {folder}; set ADVGEN_SHARED")
    return folder
