"""`manifest.json`: what a run was made with, complete enough to make it again."""

from __future__ import annotations

import hashlib
import json
import platform
from pathlib import Path
from typing import Any

from advgen.config import AttackConfig, attack_toml
from advgen.errors import RunError
from advgen.generation import Describer, Synthesizer
from advgen.generation.layout import RunLayout
from advgen.imagesets import load_image_set
from advgen.mining import open_encoder
from advgen.models import ClipModel
from advgen.scoring.judges import Judge
from advgen.store import write_atomic
from advgen.text import load_pool
from advgen.versions import installed_versions

_PACKAGES = (
    "advgen",
    "torch",
    "open_clip_torch",
    "numpy",
    "scikit-learn",
    "pillow",
    "resvg-py",
    "transformers",
    "diffusers",
    "sentence-transformers",
    "openai",
)
_IDENTITY = (
    "attacked_model",
    "lens_images",
    "text_pool",
    "sentence_encoder",
    "describer",
    "synthesizer",
    "judge",
)


def make_manifest(
    config: AttackConfig,
    clip: ClipModel,
    describer: Describer,
    synthesizer: Synthesizer,
    judge: Judge,
) -> dict[str, Any]:
    """Versions, models, hashes and seeds of a run."""
    pool = load_pool(config.text.pool)
    images = load_image_set(config.lens.images)
    return {
        "config_sha256": hashlib.sha256(attack_toml(config).encode()).hexdigest(),
        "seed": config.seed,
        "versions": installed_versions(_PACKAGES),
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
        "sentence_encoder": _encoder(config),
        "describer": {"name": describer.name, "revision": describer.revision},
        "synthesizer": {
            "name": synthesizer.name,
            "revision": synthesizer.revision,
            "licence": synthesizer.licence,
        },
        "judge": judge.name,
    }


def _encoder(config: AttackConfig) -> dict[str, str] | None:
    """What finds words like the target class."""
    encoder = open_encoder(config.mining.similarity)
    return None if encoder is None else {"name": encoder.name, "revision": encoder.revision}


def keep_manifest(layout: RunLayout, manifest: dict[str, Any]) -> None:
    """Write the manifest at the start of a run; a continued run must be of the same making.

    Versions of packages may differ, models, images, texts and the sandbox world may not.

    Raises:
        RunError: If what is there was begun with something else (the message names what) or is
            no manifest.
    """
    if layout.manifest.is_file():
        before = _read(layout.manifest)
        different = [key for key in _IDENTITY if before.get(key) != manifest[key]]
        if different:
            raise RunError(
                f"{layout.root} was begun with another {', '.join(different)} than the installed"
                "; use another --out"
            )
    write_atomic(layout.manifest, json.dumps(manifest, indent=2) + "\n")


def _read(path: Path) -> dict[str, Any]:
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RunError(f"{path} is not JSON ({error}); restore it or use another --out") from error
    return before if isinstance(before, dict) else {}
