"""Neuron directions through the artifact store: computed once per model, image set and setting."""

import hashlib
from collections.abc import Callable, Iterable, Sequence

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from advgen.lens.basis import Treatment
from advgen.lens.directions import NeuronDirections
from advgen.lens.second_order import Scale, SecondOrderLens
from advgen.models.protocol import ClipModel
from advgen.store import ArtifactStore

KIND = "directions"
RECIPE = 1
"""Raised whenever the same inputs would give other directions."""

Batches = Iterable[Tensor] | Callable[[], Iterable[Tensor]]


def directions_cached(
    store: ArtifactStore,
    clip: ClipModel,
    batches: Batches,
    *,
    image_set_fingerprint: str,
    layers: Sequence[int],
    treatment: Treatment = "paper",
    scale: Scale = "none",
    top_images: int = 100,
    on_rebuild: Callable[[str], None] | None = None,
) -> dict[int, NeuronDirections]:
    """Directions from the store; the layers that it lacks are computed in one pass and stored.

    Args:
        store: Where artifacts are kept, one per layer.
        clip: The model.
        batches: Preprocessed images, or a function that starts iterating over them; not touched
            when every layer is in the store.
        image_set_fingerprint: Identifies the images and their order.
        layers: MLP layers, in any order.
        treatment: See `SecondOrderLens`.
        scale: See `SecondOrderLens`.
        top_images: See `SecondOrderLens.directions`.
        on_rebuild: Told the reason when a stored file is rejected; the store's own by default.

    Returns:
        Layer -> directions, in the order of `layers`, on the CPU.

    Raises:
        ValueError: If a layer does not exist, or there are no images.
        ModelError: If the vision tower is of another kind.
        StoreError: If the result cannot be written.
    """
    lens = SecondOrderLens(clip, layers, treatment=treatment, scale=scale)
    shared = {
        "recipe": RECIPE,
        "weights": clip.weights_sha256,
        "preprocess": preprocess_fingerprint(clip),
        "images": image_set_fingerprint,
        "treatment": treatment,
        "scale": scale,
        "top_images": top_images,
    }
    keys = {layer: {**shared, "layer": layer} for layer in lens.layers}
    found = {layer: _find(store, keys[layer], on_rebuild) for layer in lens.layers}
    absent = [layer for layer, directions in found.items() if directions is None]
    if absent:
        lens = SecondOrderLens(clip, absent, treatment=treatment, scale=scale)
        source = batches() if callable(batches) else batches
        for layer, directions in lens.directions(source, top_images=top_images).items():
            store.save(KIND, keys[layer], directions.to_tensors(), {"model": clip.name})
            found[layer] = directions
    ordered = {layer: found[layer] for layer in dict.fromkeys(layers)}
    return {layer: directions for layer, directions in ordered.items() if directions is not None}


def preprocess_fingerprint(clip: ClipModel) -> str:
    """What a model's preprocessing does to a fixed picture, as a short hash.

    Two models with the same weights but another crop, size, mean or std see other pixels. The
    outcome is averaged over a 4 x 4 grid and rounded, so that it does not depend on the machine.
    """
    side = torch.arange(96)
    red = (side * 2)[None, :].expand(80, -1)
    green = (side[:80] * 3)[:, None].expand(-1, 96)
    picture = torch.stack([red, green, (red * green // 64) % 256], dim=-1).to(torch.uint8)
    pixels = clip.preprocess(Image.fromarray(picture.numpy()))
    cells = F.adaptive_avg_pool2d(pixels.float(), 4).flatten().tolist()
    text = f"{tuple(pixels.shape)}|" + ",".join(f"{value + 0.0:.2f}" for value in cells)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _find(
    store: ArtifactStore, key: dict, on_rebuild: Callable[[str], None] | None
) -> NeuronDirections | None:
    if on_rebuild is None:
        artifact = store.load(KIND, key)
    else:
        lookup = store.lookup(KIND, key)
        artifact = lookup.artifact
        if lookup.reason is not None:
            on_rebuild(f"a stored artifact was ignored: {lookup.reason}")
    return None if artifact is None else NeuronDirections.from_tensors(artifact.tensors)
