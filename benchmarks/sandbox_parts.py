"""What `benchmarks.sandbox` measures: one function per part, which prints and returns figures."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from advgen.lens import SecondOrderLens, ablated_representations, classification_accuracy
from advgen.models import DEFAULT_TEMPLATES, ClipModel, encode_classes, load_clip
from advgen.records import ClassPair
from advgen.sandbox.clip import packaged_checkpoints
from advgen.sandbox.images import SandboxImages
from advgen.sandbox.lexicon import load_lexicon
from advgen.sandbox.measure import PAPER_PAIRS, embed_images, pair_accuracy, zero_shot_accuracy
from advgen.sandbox.sprites import variants

CIFAR = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
SINGLE_IMAGES = 2720
ABLATION_IMAGES = 1360
PAIR_IMAGES = 200
SEED = 1234


def line(name: str, value: str, bar: str = "", met: bool | None = None) -> None:
    """One printed figure with its bar."""
    verdict = "" if met is None else ("  ok" if met else "  MISSED")
    print(f"{name:<58}{value:>16}   {bar}{verdict}", flush=True)


def world() -> dict[str, Any]:
    """Size of the drawn world."""
    lexicon = load_lexicon()
    words = lexicon.words()
    drawable = lexicon.drawable_words()
    undrawable = [word for word in words if word not in drawable]
    sprites = sum(len(variants(concept.slug)) for concept in lexicon.concepts.values())
    figures = {
        "concepts": len(lexicon.concepts),
        "sprites": sprites,
        "places": len(lexicon.places),
        "words": len(words),
        "undrawable_share": len(undrawable) / len(words),
    }
    line("things", str(figures["concepts"]), ">= 130", figures["concepts"] >= 130)
    line("sprites", str(sprites), ">= 2 each", sprites >= 2 * figures["concepts"])
    line("places", str(figures["places"]), ">= 20", figures["places"] >= 20)
    line("words in the pool", str(figures["words"]))
    share = figures["undrawable_share"]
    line("of them not drawable on their own", f"{share:.0%}", ">= 50 %", share >= 0.5)
    return figures


def models() -> dict[str, Any]:
    """Accuracy of every packaged checkpoint, with and without second-order effects."""
    return {name: _model(name) for name in packaged_checkpoints()}


def _model(name: str) -> dict[str, Any]:
    clip = load_clip(name)
    classes = list(load_lexicon().concepts)
    single = SandboxImages(SINGLE_IMAGES, seed=SEED, single=True)
    figures: dict[str, Any] = {"zero_shot": zero_shot_accuracy(clip, single)}
    bar = name == "sandbox-a"
    print(f"-- {name}")
    met = figures["zero_shot"] >= 0.85 if bar else None
    line(f"zero-shot, {len(classes)} classes", f"{figures['zero_shot']:.3f}", ">= 0.85", met)
    figures["cifar"] = _cifar(clip, single)
    line("zero-shot, CIFAR-10's classes", f"{figures['cifar']:.3f}")
    for kind, extras, wanted in (("clean", 0, 0.97), ("cluttered", 3, 0.93)):
        rows = {}
        for pair in PAPER_PAIRS:
            swapped = ClassPair(pair.target_class, pair.true_class)
            rows[str(pair)] = 0.5 * sum(
                pair_accuracy(clip, side, extras=extras, count=PAIR_IMAGES, seed=SEED)
                for side in (pair, swapped)
            )
        mean = sum(rows.values()) / len(rows)
        figures[kind] = {"mean": mean, "pairs": rows}
        text = f"{mean:.3f} (worst {min(rows.values()):.3f})"
        line(f"the paper's pairs, {kind}", text, f">= {wanted}", mean >= wanted if bar else None)
    figures["ablation"] = _ablation(clip)
    left, before = figures["ablation"]["all"], figures["ablation"]["none"]
    met = left <= before / 2 if bar else None
    line(
        "accuracy left without second-order effects", f"{before:.3f} -> {left:.3f}", "<= half", met
    )
    for layer, value in figures["ablation"]["layers"].items():
        line(f"  without those of layer {layer} alone", f"{value:.3f}")
    for layer, value in figures["ablation"]["explained_variance"].items():
        line(f"  variance that PC1 explains, layer {layer} (mean)", f"{value:.2f}")
    return figures


def _cifar(clip: ClipModel, images: SandboxImages) -> float:
    chosen = [number for number in range(len(images)) if images.label(number) in CIFAR]
    from advgen.sandbox.render import render_scene

    embeddings = embed_images(
        clip, (render_scene(images.scene(number), images.size) for number in chosen)
    )
    labels = torch.tensor([CIFAR.index(images.label(number)) for number in chosen])
    return classification_accuracy(
        embeddings, encode_classes(clip, CIFAR, templates=DEFAULT_TEMPLATES), labels
    )


def _ablation(clip: ClipModel) -> dict[str, Any]:
    images = SandboxImages(ABLATION_IMAGES, seed=SEED + 1, single=True)
    classes = list(load_lexicon().concepts)
    layers = list(range(clip.vision.layers - 1))
    lens = SecondOrderLens(clip, layers)
    pixels = torch.stack([clip.preprocess(image) for image in images])
    collected = lens.collect(pixels.split(100))
    classifier = encode_classes(clip, classes, templates=DEFAULT_TEMPLATES)
    labels = torch.tensor([classes.index(images.label(n)) for n in range(len(images))])

    def accuracy(representation: torch.Tensor) -> float:
        return classification_accuracy(representation, classifier, labels)

    directions = lens.directions(pixels.split(100), top_images=100)
    return {
        "none": accuracy(collected.representation),
        "all": accuracy(ablated_representations(lens, collected)),
        "layers": {
            str(layer): accuracy(ablated_representations(lens, collected, [layer]))
            for layer in layers
        },
        "explained_variance": {
            str(layer): directions[layer].explained_variance.mean().item() for layer in layers
        },
    }


def cost() -> dict[str, Any]:
    """Seconds and memory of `advgen attack --pair dog:deer`: empty cache, then again; `--help`."""
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "ADVGEN_CACHE": f"{folder}/cache"}
        for name, out in (("first", "a"), ("second", "b")):
            command = ["attack", "--pair", "dog:deer", "--out", f"{folder}/{out}", "--json"]
            started = time.monotonic()
            _advgen(command, environment)
            figures[f"{name}_seconds"] = time.monotonic() - started
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    figures["peak_gib"] = peak
    figures["cores"] = os.cpu_count()
    started = time.monotonic()
    for _ in range(5):
        _advgen(["--help"], dict(os.environ))
    figures["help_seconds"] = (time.monotonic() - started) / 5
    first, second = figures["first_seconds"], figures["second_seconds"]
    line("advgen attack --pair dog:deer, empty cache", f"{first:.1f} s", "<= 60 s", first <= 60)
    line("the same once more, new run directory", f"{second:.1f} s", "<= 20 s", second <= 20)
    line("peak resident memory of a process", f"{peak:.2f} GiB", "<= 2 GiB", peak <= 2)
    shown = figures["help_seconds"]
    line("advgen --help", f"{shown:.2f} s", "<= 0.5 s", shown <= 0.5)
    return figures


def _advgen(arguments: list[str], environment: dict[str, str]) -> str:
    """Run the command line in a process of its own and give its stdout."""
    command = [str(Path(sys.executable).parent / "advgen"), *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"advgen {' '.join(arguments)} failed:\n{done.stderr}")
    return done.stdout
