"""What identifies a version of the sandbox world."""

from __future__ import annotations

import functools
import hashlib
from importlib import resources


@functools.cache
def world_fingerprint() -> str:
    """sha256 over the lexicon and every drawing: changes when the world changes."""
    digest = hashlib.sha256()
    root = resources.files("advgen.sandbox")
    digest.update(root.joinpath("lexicon.toml").read_bytes())
    for folder in ("sprites", "places"):
        for entry in sorted(root.joinpath(folder).iterdir(), key=lambda e: e.name):
            digest.update(entry.name.encode() + b"\0" + entry.read_bytes())
    return digest.hexdigest()
