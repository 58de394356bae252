"""Whether the models of a plan can be had: access, token, packaged weights."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from advgen.catalogue import Need
from advgen.doctor.check import Check
from advgen.hub import Access, TokenState
from advgen.plan import Plan, PlannedModel

_WEIGHTS = "open_clip_model.safetensors"
_CONFIGS = ("open_clip_config.json", "config.json", "model_index.json", "modules.json")
_TOKENS = "https://huggingface.co/settings/tokens"
_FOUND = {
    "missing": "not found",
    "gated": "the licence is not accepted",
    "no_token": "given only to accounts that accepted the licence",
    "unreachable": "not on this machine",
}


def repository_of(model: PlannedModel) -> Need | None:
    """The repository or folder to look for; None where there is none to look for."""
    if model.place == "hub":
        return model.need
    if model.place == "elsewhere":
        return _open_clip_repository(model)
    return None


def check_model(model: PlannedModel, access: Access | None) -> Check:
    """Whether one model can be had.

    Args:
        model: From the plan.
        access: What the Hub and the cache said of it; None if there was nothing to ask.
    """
    if access is not None:
        name = f"{model.role} {model.name}"
        if access.usable:
            return Check(name, "ok", access.message)
        todo = access.message
        if access.state == "unreachable" and model.gated:
            todo += f", and accept the licence at {model.page}"
        return Check(name, "fail", _FOUND[access.state], todo)
    if model.place == "packaged":
        return _packaged(model)
    if model.place == "folder":
        return _local(model)
    todo = "see the names that open_clip.list_pretrained() gives, or give a folder"
    return Check(f"{model.role} {model.name}", "fail", "open_clip does not know it", todo)


def check_token(plan: Plan, accesses: Sequence[Access], token: TokenState) -> Check:
    """Whether there is a token, if a model that is not here yet asks for one."""
    here = {access.source for access in accesses if access.state in ("folder", "cached", "open")}
    gated = [m for m in plan.models if m.gated and m.need.source not in here]
    asked = [access for access in accesses if access.state in ("granted", "gated", "no_token")]
    if not gated and not asked:
        return Check("token", "ok", "not needed")
    if token.state == "none":
        todo = f"make one at {_TOKENS}, then run: hf auth login"
        return Check("token", "fail", "there is none, and gated models need one", todo)
    if token.state == "refused":
        todo = f"make another at {_TOKENS}, then run: hf auth login"
        return Check("token", "fail", f"the Hub refuses the one from {token.where}", todo)
    if token.state == "there":
        return Check("token", "warn", f"from {token.where}; the Hub was not reached to check it")
    return Check("token", "ok", f"from {token.where}, of the account {token.user}")


def _packaged(model: PlannedModel) -> Check:
    from safetensors import SafetensorError, safe_open

    name = f"{model.role} {model.name}"
    weights = resources.files("advgen.sandbox") / "weights" / model.name / _WEIGHTS
    if not weights.is_file():
        todo = f"train it: advgen sandbox train {model.name}"
        return Check(name, "fail", "its weights are not in this installation", todo)
    try:
        with resources.as_file(weights) as path, safe_open(str(path), framework="np") as tensors:
            count = len(tensors.keys())
    except (OSError, SafetensorError) as error:
        return Check(name, "fail", f"its weights are damaged ({error})", "install advgen again")
    return Check(name, "ok", f"packaged, {count} tensors")


def _local(model: PlannedModel) -> Check:
    name, path = f"{model.role} {model.name}", Path(model.need.source).expanduser()
    if path.is_dir() and not any((path / file).is_file() for file in _CONFIGS):
        found = f"the folder {path} holds no model (none of {', '.join(_CONFIGS)})"
        return Check(name, "fail", found, "correct the path")
    if path.exists():
        return Check(name, "ok", "on this machine")
    return Check(name, "fail", f"there is no {path}", "correct the path")


def _open_clip_repository(model: PlannedModel) -> Need | None:
    """The repository that open_clip fetches `ARCHITECTURE/TAG` from."""
    from open_clip.pretrained import get_pretrained_cfg

    architecture, _, tag = model.name.rpartition("/")
    place = get_pretrained_cfg(architecture, tag).get("hf_hub", "")
    repository, _, file = place.rpartition("/")
    files = (file,) if file else ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
    return Need(model.role, repository, files) if repository else None
