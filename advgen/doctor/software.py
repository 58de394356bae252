"""Python, packages, and the memory of GPUs."""

from __future__ import annotations

import sys
from importlib import metadata

from packaging.requirements import Requirement

from advgen.config import AttackConfig
from advgen.doctor.check import Check
from advgen.plan import Plan

OLDEST_PYTHON = (3, 10)
CPU_WILL_DO_GB = 4.0
"""Models up to this size are run on a CPU without a word."""
_CORE = ("torch", "open_clip_torch", "huggingface_hub")
_USED_BY = {
    "llama": ("transformers", "accelerate"),
    "openai": ("openai",),
    "deepfloyd": ("diffusers", "transformers", "accelerate", "sentencepiece", "protobuf"),
    "diffusers": ("diffusers", "transformers", "accelerate"),
    "sentence": ("sentence-transformers",),
    "hf": ("datasets",),
}
"""Packages of the parts that are not needed by everyone."""


def check_python() -> Check:
    """The version of Python."""
    found = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] >= OLDEST_PYTHON:
        return Check("python", "ok", found)
    oldest = ".".join(map(str, OLDEST_PYTHON))
    return Check("python", "fail", f"{found} is too old", f"use Python {oldest} or newer")


def check_packages(config: AttackConfig) -> list[Check]:
    """The packages that an attack uses, each with its version and the oldest that will do."""
    parts = (
        config.describe.describer,
        config.draw.synthesizer,
        config.mining.similarity.partition(":")[0],
        config.lens.images.partition(":")[0],
        config.mining.activation_images.partition(":")[0],
    )
    wanted = [*_CORE, *(package for part in parts for package in _USED_BY.get(part, ()))]
    return [_package(name) for name in dict.fromkeys(wanted)]


def _package(name: str) -> Check:
    requirement, install = _requirement(name)
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return Check(name, "fail", "not installed", f"pip install {install}")
    if requirement is None or requirement.specifier.contains(version, prereleases=True):
        return Check(name, "ok", version)
    told = f"{version} does not meet {requirement.specifier}"
    return Check(name, "fail", told, f"pip install -U {install}")


def _requirement(name: str) -> tuple[Requirement | None, str]:
    """What advgen asks of a package, and what to give to pip to get it."""
    try:
        lines = metadata.requires("advgen") or []
    except metadata.PackageNotFoundError:
        lines = []
    for line in lines:
        requirement = Requirement(line)
        if _plain(requirement.name) == _plain(name):
            extra = "extra ==" in line
            return requirement, "'advgen[real]'" if extra else "advgen"
    return None, name


def _plain(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


def check_gpu(plan: Plan) -> Check:
    """Whether a GPU has the memory that the plan's largest step takes."""
    peak, least = plan.peak_gpu_gb, plan.least_gpu_gb
    if not peak:
        return Check("GPU", "ok", "not needed")
    found = gpus()
    if not found:
        if peak <= CPU_WILL_DO_GB:
            return Check("GPU", "ok", f"none; {peak:.1f} GB of models run on the CPU")
        todo = "use a machine with one, or --preset sandbox"
        return Check("GPU", "fail", f"none; about {peak:.0f} GB are needed", todo)
    name, size = max(found, key=lambda gpu: gpu[1])
    told = f"{name}, {size:.0f} GB{f', the largest of {len(found)}' if len(found) > 1 else ''}"
    if size >= peak:
        return Check("GPU", "ok", f"{told}; about {peak:.0f} GB are needed")
    if size >= least:
        todo = "--set draw.options.offload=model keeps waiting parts in main memory"
        return Check("GPU", "warn", f"{told}; about {peak:.0f} GB are needed", todo)
    todo = "use a larger one, smaller models, or fewer bits (describe.options.quantization)"
    return Check("GPU", "warn", f"{told}; about {least:.0f} GB are needed", todo)


def gpus() -> list[tuple[str, float]]:
    """Name and memory, in 10^9 bytes, of each GPU that torch can use."""
    import torch

    if not torch.cuda.is_available():
        return []
    properties = map(torch.cuda.get_device_properties, range(torch.cuda.device_count()))
    return [(found.name, found.total_memory / 1e9) for found in properties]
