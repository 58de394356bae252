"""From the config of an attack to its plan."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from advgen import registry
from advgen.catalogue import BYTES, Need, known_need, model_facts
from advgen.chat.address import server_address
from advgen.config import AttackConfig
from advgen.generation.layout import RunLayout
from advgen.hub import is_folder, page_of
from advgen.plan.contents import Counts, ImagePlace, Plan, PlannedImages, PlannedModel, Stage

_SENTENCE = "sentence:"
_SENTENCE_OWNER = "sentence-transformers"
_HUB_MODEL, _TRANSFORMERS = "hf-hub:", "transformers:"
_HUB_IMAGES = "hf"


def attack_plan(config: AttackConfig) -> Plan:
    """Work out what an attack will do; no network is used and no model is loaded.

    Args:
        config: The attack.

    Raises:
        ConfigError: If a part is unknown, or its options are.
    """
    attacked = _attacked(config.model.name)
    sentence = _sentence_model(config.mining.similarity)
    describer = _models("describer", config.describe.describer, config.describe.options)
    synthesizer = _models("synthesizer", config.draw.synthesizer, config.draw.options)
    models = (attacked, *sentence, *describer, *synthesizer)
    images = _image_sets(config)
    return Plan(
        models=models,
        images=images,
        pool=config.text.pool,
        counts=_counts(config),
        stages=(
            _stage("directions of neurons", [attacked]),
            _stage("mining words", [attacked, *sentence]),
            _stage(f"writing descriptions{_rounds(config)}", [attacked, *describer]),
            _stage(f"drawing and scoring images{_rounds(config)}", [attacked], synthesizer),
        ),
        files=_files(config),
        online=_online(config, models, images),
    )


def _attacked(name: str) -> PlannedModel:
    role = "attacked model"
    if name in registry.names("clip"):
        here = Need(role, name)
        return PlannedModel(
            role=role,
            name=name,
            place="packaged",
            need=here,
            licence="Apache-2.0",
            gated=False,
            download_gb=0.0,
            gpu_gb=0.0,
            least_gb=0.0,
            note="runs on a CPU",
        )
    for prefix in (_HUB_MODEL, _TRANSFORMERS):
        if name.startswith(prefix):
            return _model(Need(role, name.removeprefix(prefix)))
    known = known_need(role, name)
    if known is not None:
        return dataclasses.replace(_model(known), name=name)
    if "@" in name or is_folder(name):
        return PlannedModel(role, name, "folder", Need(role, name.rpartition("@")[2]))
    return PlannedModel(role, name, "elsewhere", Need(role, name), note="fetched by open_clip")


def _sentence_model(similarity: str) -> list[PlannedModel]:
    if not similarity.startswith(_SENTENCE):
        return []
    source = similarity.removeprefix(_SENTENCE)
    if "/" not in source and not is_folder(source):
        source = f"{_SENTENCE_OWNER}/{source}"
    return [_model(Need("sentence model", source))]


def _models(kind: str, name: str, options: Mapping[str, Any]) -> list[PlannedModel]:
    needs: list[Need] = registry.resolve(f"{kind} needs", name)(options)
    asked = (options.get(key) for key in ("quantization", "dtype"))
    dtype = next((value for value in asked if isinstance(value, str) and value in BYTES), None)
    models = [_model(need, dtype) for need in needs]
    if kind == "synthesizer" and options.get("offload") != "none":
        return models
    return [dataclasses.replace(model, least_gb=model.gpu_gb) for model in models]


def _model(need: Need, dtype: str | None = None) -> PlannedModel:
    if is_folder(need.source):
        return PlannedModel(need.role, need.source, "folder", need, download_gb=0.0)
    facts = model_facts(need.source, files=need.files, dtype=dtype)
    return PlannedModel(
        role=need.role,
        name=need.source,
        place="hub",
        need=need,
        licence=facts.licence,
        page=page_of(need.source) if facts.gated else facts.licence_page or page_of(need.source),
        gated=facts.gated,
        download_gb=facts.download_gb,
        gpu_gb=facts.gpu_gb,
        least_gb=facts.largest_gb,
        note=facts.note,
    )


def _stage(
    name: str, models: Sequence[PlannedModel], in_turn: Sequence[PlannedModel] = ()
) -> Stage:
    """A step with `models` in memory and those `in_turn`, which may be offloaded."""
    together = (*models, *in_turn)
    least = sum(model.gpu_gb or 0.0 for model in models)
    least += max((model.least_gb or 0.0 for model in in_turn), default=0.0)
    return Stage(
        name=name,
        models=tuple(model.role for model in together),
        gpu_gb=round(sum(model.gpu_gb or 0.0 for model in together), 2),
        least_gb=round(least, 2),
        unknown=tuple(model.role for model in together if model.gpu_gb is None),
    )


def _rounds(config: AttackConfig) -> str:
    rounds = config.describe.rounds
    return f" (in turn, {rounds} rounds)" if rounds > 1 else ""


def _image_sets(config: AttackConfig) -> tuple[PlannedImages, ...]:
    found = [("directions of neurons", config.lens.images)]
    if config.mining.score == "activation":
        found.append(("sizes of effects", config.mining.activation_images))
    return tuple(PlannedImages(role, spec, _image_place(spec)) for role, spec in found)


def _image_place(spec: str) -> ImagePlace:
    place, _, _ = spec.partition("?")
    source, colon, rest = place.partition(":")
    if is_folder(place) or is_folder(rest) or not colon:
        return "folder"
    if source == _HUB_IMAGES:
        return "hub"
    return "drawn" if source in registry.names("synonyms") else "folder"


def _counts(config: AttackConfig) -> Counts:
    pairs, methods = len(config.pairs), len(config.methods)
    cells = pairs * methods * config.repeats
    describe, images = config.describe, cells * config.images
    return Counts(
        pairs=pairs,
        methods=methods,
        repeats=config.repeats,
        cells=cells,
        candidates=cells * describe.candidates,
        descriptions=cells * min(describe.descriptions, config.images),
        askings=(cells * describe.rounds, cells * describe.rounds * describe.max_attempts),
        images=images,
        draws=images * (1 + config.draw.max_redraws),
    )


def _files(config: AttackConfig) -> tuple[tuple[str, str], ...]:
    layout = RunLayout(Path())
    counts = _counts(config)
    return (
        (str(layout.config), "the settings"),
        (str(layout.manifest), "versions, models, hashes"),
        (str(layout.words), "mined and dropped words"),
        (str(layout.descriptions), "sentences, accepted and turned down"),
        ("images/", f"{counts.images} PNG images of {config.draw.size} pixels"),
        ("units/", f"{counts.descriptions} files of scores, one per description"),
        (str(layout.records), "one row per image"),
        (str(layout.report), "the page for people"),
        (str(layout.contact), "the picture for people"),
    )


def _online(
    config: AttackConfig, models: Sequence[PlannedModel], images: Sequence[PlannedImages]
) -> tuple[str, ...]:
    lines = [
        f"{model.role} {model.name}: downloaded unless it is on this machine already"
        for model in models
        if model.place in ("hub", "elsewhere")
    ]
    lines += [
        f"image set {found.spec}: downloaded unless it is on this machine already"
        for found in images
        if found.place == "hub"
    ]
    if config.describe.describer == "openai":
        address = server_address(str(config.describe.options.get("url", "")))
        lines.append(f"describer: asks the chat server {address}")
    return tuple(lines)
