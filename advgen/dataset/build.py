"""Building a dataset: rows of runs, checked and without duplicates, in a folder to be released."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from advgen.attack import Progress, Silent
from advgen.dataset.card import make_card, merge_card
from advgen.dataset.croissant import make_croissant
from advgen.dataset.duplicates import Seen
from advgen.dataset.fiftyone import hub_config
from advgen.dataset.licences import Licence, compose_licence
from advgen.dataset.reading import FORMAT_VERSION, DatasetLayout
from advgen.dataset.rows import Picture, Source, make_row
from advgen.dataset.runs import Run, open_run, public
from advgen.dataset.settings import BuildReport, BuildSettings, date_of
from advgen.dataset.shards import ShardWriter
from advgen.dataset.staging import staged
from advgen.dataset.tally import Tally
from advgen.dataset.verification import Held, open_bench
from advgen.errors import ConfigError, DataError
from advgen.records import ClassPair, Sample
from advgen.store import canonical_json, sha256_file, write_atomic
from advgen.versions import installed_versions

MAX_CONFIGS = 50
"""The Hub reads configs from the card, whose size is limited."""
_PACKAGES = ("advgen", "datasets", "pyarrow", "ImageHash", "pillow", "numpy", "huggingface_hub")


def build_dataset(
    runs: Sequence[Path],
    out: Path,
    settings: BuildSettings | None = None,
    progress: Progress | None = None,
) -> BuildReport:
    """Make one dataset of finished runs, whole or not at all.

    The same runs and settings give the same bytes. Of several equal images the first stays, in the
    order of the runs and of the rows in them; images that are not released displace none.

    Raises:
        ConfigError: If the licence is not known, or a setting cannot be used.
        DataError: If a run or an image is missing or damaged, nothing is left to release, or the
            folder is taken.
        RunError: If a run has no records.
        StoreError: If the folder cannot be written.
    """
    settings, progress = settings or BuildSettings(), progress or Silent()
    opened = _open_runs(runs)
    licence = compose_licence(
        [run.manifest["synthesizer"].get("licence", "") for run in opened],
        licence=settings.licence,
        link=settings.licence_link,
    )
    with staged(out, overwrite=settings.overwrite) as folder:
        work = _Work(DatasetLayout(folder), settings, Tally(), date_of(settings), progress)
        build = work.write(opened, licence, settings.name or out.name)
        card = make_card(build)
        before = DatasetLayout(out).card
        if before.is_file():
            card = merge_card(before.read_text(encoding="utf-8"), card)
        write_atomic(work.layout.card, card)
        write_atomic(work.layout.croissant, make_croissant(build))
        write_atomic(work.layout.fiftyone, hub_config(build["name"], licence.identifier))
    return BuildReport(out, build, licence)


@dataclass(frozen=True)
class _Work:
    """One build under way."""

    layout: DatasetLayout
    settings: BuildSettings
    tally: Tally
    created_at: str | None
    progress: Progress

    def write(self, runs: Sequence[Run], licence: Licence, name: str) -> dict[str, Any]:
        """Write rows, what was dropped, and `build.json`; returns the last."""
        dropped: list[dict[str, Any]] = []
        self.progress.stage("writing the dataset", total=sum(len(run.samples) for run in runs))
        configs = self._write_rows(self._rows(runs, dropped))
        if not configs:
            raise DataError(
                f"nothing is left to release ({self._reasons()}); judge or review the images, or"
                " take them in unverified with --include-unverified"
            )
        lines = "".join(json.dumps(entry, sort_keys=True) + "\n" for entry in dropped)
        write_atomic(self.layout.dropped, lines)
        build = self._build(runs, licence, name, configs)
        write_atomic(self.layout.build, canonical_json(build, indent=1) + "\n")
        return build

    def _write_rows(self, rows: Iterable[tuple[ClassPair, dict[str, Any]]]) -> dict[str, Any]:
        """Write rows as they come; returns what lies where, by config."""
        writers: dict[str, ShardWriter] = {}
        with contextlib.ExitStack() as stack:
            for pair, row in rows:
                config = pair.slug if self.settings.per_pair else "default"
                if config not in writers:
                    writers[config] = stack.enter_context(self._writer(config, len(writers)))
                writers[config].add(row)
            return {
                config: {
                    "files": [
                        path.relative_to(self.layout.root).as_posix() for path in writer.finish()
                    ],
                    "rows": writer.count,
                    "image_bytes": writer.image_bytes,
                }
                for config, writer in writers.items()
            }

    def _writer(self, config: str, others: int) -> ShardWriter:
        if others >= MAX_CONFIGS:
            raise ConfigError(
                f"more than {MAX_CONFIGS} pairs are too many for one config each; leave --configs"
            )
        folder = self.layout.data / config if self.settings.per_pair else self.layout.data
        return ShardWriter(folder, self.settings.shard_bytes)

    def _rows(
        self, runs: Sequence[Run], dropped: list[dict[str, Any]]
    ) -> Iterator[tuple[ClassPair, dict[str, Any]]]:
        known = Seen(self.settings.near)
        for run in runs:
            bench = open_bench(run.layout, self.settings.policy, self.settings.decisions)
            source = self._source(run)
            for sample in run.samples:
                self.progress.advance()
                held = bench.see(sample)
                self.tally.see(sample, held)
                picture = run.picture(sample)
                entry = self._refusal(run, sample, held, picture, known)
                if entry is not None:
                    self.tally.drop(entry["reason"])
                    dropped.append(
                        {"id": f"{run.id}/{sample.id}", "sha256": sample.sha256, **entry}
                    )
                    continue
                self.tally.release(sample, held)
                row = make_row(
                    sample,
                    picture,
                    source,
                    run.words_of(sample),
                    held.verification_struct(sample),
                    held.review_struct(),
                )
                row["attacked_model"]["name"] = public(sample.attacked_model)
                yield ClassPair(sample.true_class, sample.target_class), row

    def _refusal(
        self, run: Run, sample: Sample, held: Held, picture: Picture, known: Seen
    ) -> dict[str, Any] | None:
        """Why an image is left out, or None."""
        reason = self._unwanted(sample, held.verification.status)
        if reason is not None:
            return {"reason": reason, "detail": held.verification.reason}
        found = known.add(f"{run.id}/{sample.id}", sample.sha256, picture.phash)
        if found is None:
            return None
        return {"reason": found.reason, "of": found.of, "distance": found.distance}

    def _unwanted(self, sample: Sample, status: str) -> str | None:
        if status == "rejected":
            return "rejected"
        if status != "accepted" and not self.settings.include_unverified:
            return "not verified"
        if self.settings.only_fooled and not sample.fooled:
            return "did not fool the model"
        return None

    def _source(self, run: Run) -> Source:
        drawn = run.manifest["synthesizer"]
        return Source(
            run_id=run.id,
            synthesizer={key: str(drawn.get(key, "")) for key in ("name", "revision", "licence")},
            options=public(dict(run.config.draw.options)),
            size=run.config.draw.size,
            created_at=self.created_at,
        )

    def _reasons(self) -> str:
        return ", ".join(f"{count} {reason}" for reason, count in self.tally.dropped.items())

    def _build(
        self, runs: Sequence[Run], licence: Licence, name: str, configs: dict[str, Any]
    ) -> dict[str, Any]:
        settings, layout = self.settings, self.layout
        return {
            "format": FORMAT_VERSION,
            "name": name,
            "created_at": self.created_at,
            "seed": settings.seed,
            "versions": installed_versions(_PACKAGES),
            "settings": {
                "include_unverified": settings.include_unverified,
                "only_fooled": settings.only_fooled,
                "near": settings.near,
                "per_pair": settings.per_pair,
            },
            "policy": settings.policy.to_json(),
            "licence": {
                "identifier": licence.identifier,
                "name": licence.name,
                "link": licence.link,
                "terms": [{"name": term.name, "link": term.link} for term in licence.terms],
            },
            "counts": self.tally.to_json(settings.policy),
            "configs": configs,
            "files": {
                path: _facts(layout.root / path)
                for config in configs.values()
                for path in config["files"]
            },
            "runs": [run.published() for run in runs],
        }


def _open_runs(roots: Sequence[Path]) -> list[Run]:
    if not roots:
        raise ConfigError("name at least one run")
    runs: dict[Path, Run] = {}
    for root in roots:
        if root.resolve() in runs:
            raise ConfigError(f"{root} is named twice")
        runs[root.resolve()] = open_run(root)
    return list(runs.values())


def _facts(path: Path) -> dict[str, Any]:
    return {"sha256": sha256_file(path), "bytes": path.stat().st_size}
