"""Folders that are read or written: disk space, write access, image sets, lists."""

from __future__ import annotations

import importlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from advgen import registry
from advgen.config import AttackConfig
from advgen.doctor.check import Check
from advgen.errors import AdvgenError
from advgen.hub import Access, is_folder
from advgen.plan import Plan, PlannedImages
from advgen.store import write_fault

_SPARE = 1.1


def check_disk(plan: Plan, accesses: Sequence[Access], cache: Path) -> Check:
    """Whether the disk of the Hub's cache has room for what is not downloaded yet.

    Args:
        plan: What is wanted.
        accesses: What the cache and the Hub said of it.
        cache: Where downloads go.
    """
    here = {access.source for access in accesses if access.state in ("folder", "cached")}
    wanted = {
        model.need.source: model.download_gb
        for model in plan.models
        if model.place in ("hub", "elsewhere") and model.need.source not in here
    }
    free = shutil.disk_usage(existing(cache)).free / 1e9
    if not wanted:
        return Check("disk", "ok", f"nothing to download; {free:.0f} GB are free")
    size = sum(gb or 0.0 for gb in wanted.values())
    least = "at least" if None in wanted.values() else "about"
    told = f"{least} {size:.1f} GB to download, {free:.1f} GB free"
    if free >= size * _SPARE:
        return Check("disk", "ok", told)
    todo = f"make room at {cache}, or set HF_HOME to a folder on a larger disk"
    return Check("disk", "warn" if free >= size else "fail", told, todo)


def check_writable(name: str, folder: Path, todo: str) -> Check:
    """Whether files can be written into a folder, or it can be made; nothing is left behind."""
    if folder.exists() and not folder.is_dir():
        return Check(name, "fail", f"{folder} is a file", todo)
    if fault := write_fault(folder):
        return Check(name, "fail", f"{folder} cannot be written ({fault})", todo)
    return Check(name, "ok", f"{folder} can be written")


def existing(folder: Path) -> Path:
    """The folder itself, or the nearest one above it that exists."""
    folder = folder.expanduser().absolute()
    return next(path for path in (folder, *folder.parents) if os.path.isdir(path))


def check_images(images: PlannedImages) -> Check:
    """Whether an image set is there; the images are not opened."""
    name = f"images {images.spec}"
    if images.place == "hub":
        return Check(name, "warn", "a data set of the Hub; it is fetched at first use")
    if images.place == "drawn":
        return _loads(name, "advgen.imagesets:load_image_set", images.spec, "images")
    place = images.spec.partition("?")[0]
    folder = place if is_folder(place) else place.partition(":")[2] or place
    path = Path(folder).expanduser()
    if not os.path.isdir(path):
        return Check(name, "fail", f"there is no folder {path}", _get_images(place))
    try:
        filled = next(path.iterdir(), None) is not None
    except OSError as error:
        return Check(name, "fail", f"{path} cannot be read ({error.strerror})", "get access to it")
    if not filled:
        return Check(name, "fail", f"the folder {path} is empty", _get_images(place))
    return Check(name, "ok", f"the folder {path} is there")


def check_texts(config: AttackConfig) -> list[Check]:
    """Whether the text pool and the list of blocked words can be read."""
    pool = config.text.pool
    if pool in registry.names("pool"):
        texts = registry.resolve("pool", pool)()
        checks = [Check(f"pool {pool}", "ok", f"{len(texts)} texts")]
    else:
        checks = [_loads(f"pool {pool}", "advgen.text:load_pool", pool, "texts")]
    if config.mining.block:
        load = "advgen.mining.synonyms:read_block_list"
        checks.append(_loads("blocked words", load, Path(config.mining.block), "classes"))
    return checks


def _get_images(place: str) -> str:
    if place.startswith("imagenet"):
        return "get ImageNet from image-net.org, or --lens-images another set"
    return "correct the path, or --lens-images another set"


def _loads(name: str, target: str, argument: object, what: str) -> Check:
    """Call a loader and count what it found; its fault becomes the check's."""
    module, _, function = target.partition(":")
    try:
        found = getattr(importlib.import_module(module), function)(argument)
    except AdvgenError as error:
        return Check(name, "fail", "cannot be read", str(error))
    return Check(name, "ok", f"{len(getattr(found, 'texts', found))} {what}")
