"""All checks of a machine for an attack, in one go."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from huggingface_hub import constants

from advgen.config import AttackConfig
from advgen.doctor.check import Check
from advgen.doctor.models import check_model, check_token, repository_of
from advgen.doctor.places import check_disk, check_images, check_texts, check_writable
from advgen.doctor.server import check_server
from advgen.doctor.software import check_gpu, check_packages, check_python
from advgen.hub import PATIENCE, Access, TokenState, check_access, token_state
from advgen.plan import PlannedModel, attack_plan
from advgen.store import CACHE_VARIABLE, default_store_root


def examine(
    config: AttackConfig, *, runs: Path = Path("runs"), seconds: float = PATIENCE
) -> list[Check]:
    """Look at everything that an attack needs; nothing is downloaded, written or loaded.

    Args:
        config: The attack.
        runs: Where run directories go.
        seconds: How long all questions over the network may take.

    Raises:
        ConfigError: If the config names a part that does not exist.
    """
    plan = attack_plan(config)
    accesses, token, server = _ask(config, plan.models, seconds)
    hub_cache = Path(constants.HF_HUB_CACHE)
    known = [access for access in accesses if access is not None]
    cache_todo = f"choose another folder: set {CACHE_VARIABLE}"
    checks = [
        check_python(),
        *check_packages(config),
        check_gpu(plan),
        check_disk(plan, known, hub_cache),
        check_token(plan, known, token),
        *(check_model(model, access) for model, access in zip(plan.models, accesses, strict=True)),
        *server,
        *(check_images(images) for images in plan.images),
        *check_texts(config),
        check_writable("run directory", runs, "work in another folder, or use --out"),
        check_writable("artifacts", default_store_root(), cache_todo),
    ]
    if any(not access.usable or access.state in ("open", "granted") for access in known):
        checks.append(check_writable("downloads", hub_cache, "set HF_HOME to another folder"))
    return checks


def _ask(
    config: AttackConfig, models: tuple[PlannedModel, ...], seconds: float
) -> tuple[list[Access | None], TokenState, list[Check]]:
    """Everything that is asked over the network, at the same time; one access per model."""
    needs = [repository_of(model) for model in models]
    asked = [need for need in needs if need is not None]
    with ThreadPoolExecutor(max_workers=3) as pool:
        accesses = pool.submit(check_access, asked, seconds=seconds)
        token = pool.submit(token_state, ask=bool(asked), seconds=seconds)
        server = pool.submit(check_server, config, seconds)
    found = iter(accesses.result())
    each = [None if need is None else next(found) for need in needs]
    return each, token.result(), server.result()
