"""A finished run of the sandbox, small and made without mining: real images, real scores."""

import dataclasses
import json
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from advgen.attack.records_file import read_records, write_records
from advgen.config import attack_config, attack_toml, read_preset
from advgen.generation.layout import Cell, RunLayout, encode_png
from advgen.generation.protocols import DrawRequest
from advgen.models import ClipModel, load_clip
from advgen.records import ClassPair, MinedWord, Neuron, NeuronShare, Sample, WordList, to_json
from advgen.registry import resolve
from advgen.scoring import class_embeddings, score_pair
from advgen.store import sha256_file, text_sha256

SIZE = 64
THINGS = ("squirrel", "tree", "bottle", "bicycle", "chair", "umbrella")


@cache
def sandbox_clip() -> ClipModel:
    return load_clip("sandbox-a", device="cpu")


def write_run(
    root: Path,
    pairs: Sequence[str] = ("dog:deer",),
    images: int = 6,
    *,
    seed: int = 0,
    judge: str = "sandbox",
    licence: str = "Apache-2.0",
    templates: Sequence[str] = ("a photo of {article} {noun}.",),
) -> RunLayout:
    """A run directory with everything that a release reads."""
    layout = RunLayout(root)
    table = read_preset("sandbox")
    table["draw"]["size"] = SIZE
    table["model"]["templates"] = list(templates)
    config = attack_config({**table, "pairs": list(pairs), "images": images, "seed": seed})
    root.mkdir(parents=True)
    text = attack_toml(config)
    layout.config.write_text(text, encoding="utf-8")
    synthesizer, clip = resolve("synthesizer", "sandbox")(), sandbox_clip()
    manifest = {
        "config_sha256": text_sha256(text),
        "seed": seed,
        "versions": {"python": "3"},
        "machine": {"device": "cpu"},
        "attacked_model": {"name": clip.name, "weights_sha256": clip.weights_sha256},
        "describer": {"name": "template", "revision": "r1"},
        "synthesizer": {
            "name": synthesizer.name,
            "revision": synthesizer.revision,
            "licence": licence,
        },
        "judge": judge,
    }
    layout.manifest.write_text(json.dumps(manifest), encoding="utf-8")
    samples, lists = [], []
    for pair in config.pairs:
        cell = Cell(pair, "second-order", 0)
        classes = class_embeddings(clip, (pair.true_class, pair.target_class), templates)
        lists.append(_words(pair))
        for index in range(images):
            samples.append(_sample(layout, cell, index, seed, judge, licence, classes))
    layout.words.write_text(json.dumps(to_json(lists)), encoding="utf-8")
    write_records(samples, layout.records)
    return layout


def change_rows(layout: RunLayout, change: Callable[[int, Sample], dict[str, Any]]) -> None:
    """Give rows of a run other columns."""
    rows = read_records(layout.records)
    changed = [dataclasses.replace(row, **change(i, row)) for i, row in enumerate(rows)]
    write_records(changed, layout.records)


def _words(pair: ClassPair) -> WordList:
    share = NeuronShare(Neuron(4, 28), 0.3)
    kept = tuple(MinedWord(thing, 1.5 - i / 10, (share,)) for i, thing in enumerate(THINGS))
    return WordList(pair, "second-order", 0, kept, ())


def _sample(
    layout: RunLayout, cell: Cell, index: int, seed: int, judge: str, licence: str, classes: Any
) -> Sample:
    synthesizer, clip, pair = resolve("synthesizer", "sandbox")(), sandbox_clip(), cell.pair
    thing = THINGS[index % len(THINGS)]
    prompt = f"a {pair.true_class} next to a {thing}"
    own = 1000 * seed + index
    (drawn,) = synthesizer.draw([DrawRequest(prompt, pair.true_class, own, SIZE)])
    provenance = {
        "prompt": prompt,
        "subject": pair.true_class,
        "seed": own,
        "synthesizer": f"{synthesizer.name}@{synthesizer.revision}",
        "licence": licence,
        "batch_size": 1,
        "undrawn": list(drawn.undrawn),
        "truth": dict(drawn.truth),
        "details": {},
        "rejected": [{"attempt": 0, "seed": 1, "reason": "black"}] if index == 1 else [],
    }
    path = layout.image(cell, index, 0)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_png(drawn.image, provenance))
    embedding = clip.encode_image(clip.preprocess(drawn.image).unsqueeze(0))
    (score,) = score_pair(embedding, classes, clip.logit_scale)
    looked = judge != "none"
    return Sample(
        id=f"{cell.slug}/d{index:02d}-i000",
        true_class=pair.true_class,
        target_class=pair.target_class,
        method=cell.method,
        repeat=cell.repeat,
        description_id=f"s{index:03d}",
        description=prompt,
        words=(thing,),
        undrawn=tuple(drawn.undrawn),
        attacked_model=clip.name,
        weights_sha256=clip.weights_sha256,
        describer="template@r1",
        synthesizer=provenance["synthesizer"],
        cos_true=score.cos_true,
        cos_target=score.cos_target,
        margin=score.margin,
        prob_target=score.prob_target,
        fooled=score.fooled,
        judge=judge,
        p_true_present=1.0 if looked else None,
        p_target_absent=1.0 if looked else None,
        verified=looked,
        seed=own,
        sha256=sha256_file(path),
        path=path.relative_to(layout.root).as_posix(),
        truth=json.dumps(provenance["truth"], sort_keys=True),
    )
