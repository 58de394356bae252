"""`manifest.json`: what a run was made with, complete enough to make it again."""

from __future__ import annotations

import hashlib
import platform
from importlib import metadata
from typing import Any

from advgen.attack.units import Studio
from advgen.config import AttackConfig, attack_toml
from advgen.imagesets import load_image_set
from advgen.models import ClipModel
from advgen.text import load_pool

_PACKAGES = ("advgen", "torch", "open_clip_torch", "numpy", "scikit-learn", "pillow", "resvg-py")


def make_manifest(config: AttackConfig, clip: ClipModel, studio: Studio) -> dict[str, Any]:
    """Versions, models, hashes and seeds of a run."""
    pool = load_pool(config.text.pool)
    images = load_image_set(config.lens.images)
    return {
        "config_sha256": hashlib.sha256(attack_toml(config).encode()).hexdigest(),
        "seed": config.seed,
        "versions": {"python": platform.python_version(), **_versions()},
        "machine": {
            "system": platform.system(),
            "arch": platform.machine(),
            "device": str(clip.device),
        },
        "attacked_model": {"name": clip.name, "weights_sha256": clip.weights_sha256},
        "lens_images": {
            "name": images.name,
            "count": len(images),
            "fingerprint": images.fingerprint,
        },
        "text_pool": {"name": pool.name, "texts": len(pool.texts), "sha256": pool.sha256},
        "describer": studio.describer,
        "synthesizer": {
            "name": studio.synthesizer.name,
            "revision": studio.synthesizer.revision,
            "licence": studio.synthesizer.licence,
        },
        "judge": studio.judge.name,
    }


def _versions() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed as a package"
    return found
