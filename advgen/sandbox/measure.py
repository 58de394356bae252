"""How good a sandbox CLIP is, against what was drawn."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from advgen.models import DEFAULT_TEMPLATES, ClipModel, encode_classes
from advgen.records import ClassPair
from advgen.sandbox.images import DRAWN_SIZE, SandboxImages
from advgen.sandbox.lexicon import load_lexicon
from advgen.sandbox.render import render_scene
from advgen.sandbox.scene import sample_scene

BATCH = 128
PAPER_PAIRS = tuple(
    ClassPair.parse(text)
    for text in ("horse:automobile", "dog:deer", "bird:frog", "ship:truck", "ship:automobile")
)


def embed_images(
    clip: ClipModel, images: Iterable[Image.Image], *, normalize: bool = True
) -> Float[Tensor, "image embed"]:
    """Embeddings of images in order, float32 on the CPU."""
    rows, pending = [], []
    for image in images:
        pending.append(clip.preprocess(image))
        if len(pending) == BATCH:
            rows.append(clip.encode_image(torch.stack(pending), normalize=normalize).float().cpu())
            pending = []
    if pending:
        rows.append(clip.encode_image(torch.stack(pending), normalize=normalize).float().cpu())
    return torch.cat(rows)


def zero_shot_accuracy(clip: ClipModel, images: SandboxImages) -> float:
    """Accuracy over all concepts on a labelled image set."""
    classes = list(load_lexicon().concepts)
    embeddings = embed_images(clip, images)
    labels = torch.tensor([classes.index(images.label(index)) for index in range(len(images))])
    return accuracy(clip, embeddings, classes, labels)


def accuracy(
    clip: ClipModel,
    embeddings: Float[Tensor, "image embed"],
    classes: Sequence[str],
    labels: Tensor,
) -> float:
    """Share of images whose nearest class prompt is their label."""
    prompts = encode_classes(clip, classes, templates=DEFAULT_TEMPLATES).float().cpu()
    return (embeddings @ prompts.T).argmax(dim=-1).eq(labels).float().mean().item()


def pair_accuracy(clip: ClipModel, pair: ClassPair, *, extras: int, count: int, seed: int) -> float:
    """Binary accuracy on images of the true class without the target class.

    Args:
        clip: The model.
        pair: True class against target class.
        extras: Other things in each scene: 0 for clean images.
        count: Images.
        seed: Which scenes.
    """
    lexicon = load_lexicon()
    without = frozenset({pair.target_class})
    scenes = (
        sample_scene(
            random.Random(f"pair-{seed}-{pair}-{extras}-{index}"),
            lexicon,
            main=pair.true_class,
            extras=extras,
            without=without,
        )
        for index in range(count)
    )
    embeddings = embed_images(clip, (render_scene(scene, DRAWN_SIZE) for scene in scenes))
    labels = torch.zeros(count, dtype=torch.long)
    return accuracy(clip, embeddings, [pair.true_class, pair.target_class], labels)
