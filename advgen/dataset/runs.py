"""Opening a finished run for release: its rows, words, config and manifest, fit for the public."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from advgen.attack.records_file import read_records
from advgen.attack.words import word_lists_from_json
from advgen.config import AttackConfig, attack_table, read_attack_toml
from advgen.dataset.duplicates import perceptual_hash
from advgen.dataset.rows import Picture
from advgen.errors import DataError
from advgen.generation.layout import RunLayout, decode_png
from advgen.records import MinedWord, Sample
from advgen.store import canonical_json, text_sha256

_PATH = re.compile(r"(?<![\w./])(?:~|[A-Za-z]:)?[\\/](?![\\/\s])(?:[^\\/:,;]+[\\/])*([^\\/:,;]*)")
_SERVER = re.compile(r"^https?://(?!huggingface\.co/)\S+")
_CHANGING = ("versions", "machine")


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        layout: Its folder.
        id: Identity by what it was made with, 12 hex digits.
        config: Its effective config.
        manifest: `manifest.json`.
        samples: Its rows.
        words: Word by text, of each (pair, method, repeat).
    """

    layout: RunLayout
    id: str
    config: AttackConfig
    manifest: Mapping[str, Any]
    samples: Sequence[Sample]
    words: Mapping[tuple[str, str, int], Mapping[str, MinedWord]]

    def words_of(self, sample: Sample) -> list[MinedWord]:
        """The mined words that a description uses.

        Raises:
            DataError: If the run's word list lacks one.
        """
        pair = f"{sample.true_class}:{sample.target_class}"
        known = self.words.get((pair, sample.method, sample.repeat), {})
        lost = [word for word in sample.words if word not in known]
        if lost:
            raise DataError(
                f"{self.layout.words} has no word '{lost[0]}', which {sample.id} uses; finish the"
                " run with the same command"
            )
        return [known[word] for word in sample.words]

    def picture(self, sample: Sample) -> Picture:
        """The image of a row, with the bytes that were scored.

        Raises:
            DataError: If it is missing, or differs from what was scored.
        """
        path = self.layout.root / sample.path
        advice = "run the attack again with the same command, it draws the image anew"
        try:
            data = path.read_bytes()
            image, provenance = decode_png(data)
        except (OSError, ValueError) as error:
            raise DataError(f"{path} cannot be used ({error}); {advice}") from error
        if hashlib.sha256(data).hexdigest() != sample.sha256:
            raise DataError(f"{path} is not the image that was scored (SHA-256); {advice}")
        return Picture(data, provenance, perceptual_hash(image))

    def published(self) -> dict[str, Any]:
        """What the release says of the run: no folder and no server of this machine is named."""
        return {
            "run_id": self.id,
            "images": len(self.samples),
            "config": public(attack_table(self.config)),
            "manifest": public(self.manifest),
        }


def open_run(root: Path) -> Run:
    """Read everything of a run but its images.

    Raises:
        DataError: If the manifest or the words are missing or malformed.
        RunError: If the records are missing.
        ConfigError: If the config is malformed.
    """
    layout = RunLayout(root)
    if not layout.records.is_file():
        raise DataError(
            f"{root} is no finished run: it has no {layout.records.name}; make one with: advgen"
            " attack --out DIR"
        )
    manifest = _read_manifest(layout.manifest)
    try:
        lists = word_lists_from_json(layout.words.read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"cannot read {layout.words}: {error}; run the attack again") from error
    words = {
        (str(found.pair), found.method, found.repeat): {word.word: word for word in found.kept}
        for found in lists
    }
    return Run(
        layout,
        run_identity(manifest),
        read_attack_toml(layout.config),
        manifest,
        read_records(layout.records),
        words,
    )


def run_identity(manifest: Mapping[str, Any]) -> str:
    """12 hex digits that are the same for runs made with the same config, models and texts."""
    lasting = {key: value for key, value in manifest.items() if key not in _CHANGING}
    return text_sha256(canonical_json(lasting))[:12]


def public(value: Any) -> Any:
    """A JSON value in which folders are cut to their last name and servers are not named."""
    if isinstance(value, Mapping):
        return {key: public(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [public(item) for item in value]
    if not isinstance(value, str):
        return value
    return _PATH.sub(r"\1", _SERVER.sub("(a server)", value))


def _read_manifest(path: Path) -> dict[str, Any]:
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {path}: {error}; run the attack again") from error
    needed = ("config_sha256", "attacked_model", "describer", "synthesizer")
    if not isinstance(manifest, dict) or any(key not in manifest for key in needed):
        raise DataError(f"{path} is no manifest of a run; run the attack again")
    return manifest
