"""Neuron directions through the artifact store: computed once per model, image set and setting."""

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from advgen.imagesets.batches import PixelBatches, Skipped
from advgen.lens.basis import Treatment
from advgen.lens.collection import DEFAULT_BUDGET, Budget, collect_images, fits_disk, pass_bytes
from advgen.lens.directions import NeuronDirections, principal_directions
from advgen.lens.indirect import indirect_directions
from advgen.lens.scratch import scratch_folder
from advgen.lens.second_order import Scale, SecondOrderLens
from advgen.lens.two_pass import two_pass_directions
from advgen.models.protocol import ClipModel
from advgen.processes import OneProcess, Processes
from advgen.store import ArtifactStore

KIND = "directions"
INDIRECT = "indirect-directions"
RECIPE = 1
"""Raised whenever the same inputs would give other directions."""

_ALONE = OneProcess()
_EFFECT_BYTES = 64 << 20


def directions_cached(
    store: ArtifactStore,
    clip: ClipModel,
    source: PixelBatches,
    *,
    layers: Sequence[int],
    treatment: Treatment = "paper",
    scale: Scale = "none",
    top_images: int = 100,
    budget: Budget = DEFAULT_BUDGET,
    processes: Processes = _ALONE,
    note: Callable[[str], None] | None = None,
    advance: Callable[[int], None] = lambda images: None,
) -> dict[int, NeuronDirections]:
    """Directions from the store; the layers that it lacks are computed in one pass and stored.

    An interrupted pass leaves its batches in the store's ``scratch`` folder and is taken up by the
    next call. Images that cannot be read are left out, told to `note` and listed in the artifact.

    Args:
        store: Where artifacts are kept, one per layer.
        clip: The model.
        source: The image set by batch; not touched when every layer is in the store.
        layers: MLP layers, in any order.
        treatment: See `SecondOrderLens`.
        scale: See `SecondOrderLens`.
        top_images: See `SecondOrderLens.directions`.
        budget: Bytes for coefficients; where they are too few, the images are passed twice.
        processes: Who shares the work; all of them get the result.
        note: Told why a stored file is rejected (a warning by default) and what was skipped.
        advance: Told how many images were done.

    Returns:
        Layer -> directions, in the order of `layers`, on the CPU.

    Raises:
        ValueError: If a layer does not exist.
        DataError: If no image can be read.
        ModelError: If the vision tower is of another kind.
        StoreError: If the result cannot be written.
    """
    lens = SecondOrderLens(clip, layers, treatment=treatment, scale=scale)
    shared = {
        "recipe": RECIPE,
        "weights": clip.weights_sha256,
        "preprocess": preprocess_fingerprint(clip),
        "images": source.images.fingerprint,
        "treatment": treatment,
        "scale": scale,
        "top_images": top_images,
    }
    keys = {layer: {**shared, "layer": layer} for layer in lens.layers}
    found = {layer: _find(store, keys[layer], note) for layer in lens.layers}
    absent = [layer for layer, directions in found.items() if directions is None]
    processes.wait()  # everybody has looked before anybody writes
    if absent:
        job = _Job(lens.restricted(absent), source, top_images, budget, processes, advance)
        for layer, directions, skipped in job.run(store, shared):
            store.save(KIND, keys[layer], directions.to_tensors(), _extra(clip, skipped))
            found[layer] = directions
        processes.wait()
        job.discard()
        for layer in absent:  # what other processes computed
            if found[layer] is None:
                found[layer] = _find(store, keys[layer], note)
        _tell(job.skipped, note if processes.rank == 0 else None)
    ordered = {layer: found[layer] for layer in dict.fromkeys(layers)}
    return {layer: directions for layer, directions in ordered.items() if directions is not None}


def indirect_directions_cached(
    store: ArtifactStore,
    clip: ClipModel,
    source: PixelBatches,
    *,
    layers: Sequence[int],
    top_images: int = 100,
    processes: Processes = _ALONE,
    note: Callable[[str], None] | None = None,
    advance: Callable[[int], None] = lambda neurons: None,
) -> dict[int, NeuronDirections]:
    """Directions of the indirect effects of all neurons of some layers, stored layer by layer.

    Costs a partial forward pass per neuron and image. The pixels of all images are held in memory,
    and the effects of some neurons at a time.

    Args:
        store: Where artifacts are kept, one per layer.
        clip: The model.
        source: The image set by batch, a small one; not touched when all layers are in the store.
        layers: MLP layers, in any order.
        top_images: Images that a direction is fitted to.
        processes: Who shares the work, a layer at a time; all of them get the result.
        note: Told why a stored file is rejected (a warning by default) and what was skipped.
        advance: Told how many neurons were done.

    Returns:
        Layer -> directions, in the order of `layers`, on the CPU.

    Raises:
        DataError: If no image can be read.
        StoreError: If the result cannot be written.
    """
    keys = {
        layer: {
            "recipe": RECIPE,
            "weights": clip.weights_sha256,
            "preprocess": preprocess_fingerprint(clip),
            "images": source.images.fingerprint,
            "top_images": top_images,
            "layer": layer,
        }
        for layer in layers
    }
    found = {layer: _find(store, key, note, INDIRECT) for layer, key in keys.items()}
    absent = [layer for layer, directions in found.items() if directions is None]
    processes.wait()  # everybody has looked before anybody writes
    if absent:
        batches = list(source)
        skipped = [item for batch in batches for item in batch.skipped]
        pixels = [batch.pixels for batch in batches if batch.indices]
        for layer in absent[processes.rank :: processes.count]:
            directions = _indirect(clip, pixels, layer, top_images, advance)
            store.save(INDIRECT, keys[layer], directions.to_tensors(), _extra(clip, skipped))
            found[layer] = directions
        processes.wait()
        for layer in absent:  # what other processes computed
            if found[layer] is None:
                found[layer] = _find(store, keys[layer], note, INDIRECT)
        _tell(skipped, note if processes.rank == 0 else None)
    return {layer: directions for layer, directions in found.items() if directions is not None}


def _indirect(
    clip: ClipModel,
    pixels: Sequence[Tensor],
    layer: int,
    top_images: int,
    advance: Callable[[int], None],
) -> NeuronDirections:
    """All neurons of a layer, in groups whose effects fit a fixed amount of memory."""
    neurons, images = clip.vision.neurons, sum(map(len, pixels))
    step = max(1, min(128, _EFFECT_BYTES // (4 * images * clip.embed_dim)))
    parts = []
    for start in range(0, neurons, step):
        group = range(start, min(start + step, neurons))
        found = indirect_directions(clip, lambda: pixels, layer, group, top_images=top_images)
        parts.append(found.to_tensors())
        advance(len(group))
    return NeuronDirections.joined(parts)


class _Job:
    """The pass over images for the layers that the store lacks."""

    def __init__(
        self,
        lens: SecondOrderLens,
        source: PixelBatches,
        top_images: int,
        budget: Budget,
        processes: Processes,
        advance: Callable[[int], None],
    ) -> None:
        self._lens, self._source, self._top_images = lens, source, top_images
        self._budget, self._processes, self._advance = budget, processes, advance
        self.skipped: tuple[Skipped, ...] = ()
        self._discard: Callable[[], None] = lambda: None

    def run(self, store: ArtifactStore, fields: dict[str, Any]):
        """The layers that fall to this process: (layer, directions, skipped images)."""
        lens, budget = self._lens, self._budget
        fields = {key: value for key, value in fields.items() if key != "treatment"}
        fields["layers"] = list(lens.layers)
        folder = scratch_folder(store.root, fields)
        images = len(self._source.images)
        small = pass_bytes(lens, images, budget.dtype) <= budget.memory
        if not small and not fits_disk(lens, images, folder, budget):
            yield from self._twice()
            return
        collection = collect_images(
            lens,
            self._source,
            folder,
            fields,
            budget=budget,
            processes=self._processes,
            advance=self._advance,
        )
        self.skipped, self._discard = collection.skipped, collection.discard
        for layer in self._share(lens.layers):
            table = collection.effects.tables[layer]
            yield (
                layer,
                principal_directions(table, lens.basis, layer, top_images=self._top_images),
                self.skipped,
            )

    def discard(self) -> None:
        """Delete the scratch files (one process does it)."""
        if self._processes.rank == 0:
            self._discard()

    def _twice(self):
        mine = self._share(self._lens.layers)
        if not mine:
            return
        lens = self._lens.restricted(mine)
        for layer, directions, skipped in two_pass_directions(
            lens, self._source, top_images=self._top_images, advance=self._advance
        ):
            self.skipped = skipped
            yield layer, directions, skipped

    def _share(self, layers: Sequence[int]) -> Sequence[int]:
        return layers[self._processes.rank :: self._processes.count]


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


def _extra(clip: ClipModel, skipped: Sequence[Skipped]) -> dict[str, Any]:
    return {
        "model": clip.name,
        "skipped": [{"index": s.index, "name": s.name, "reason": s.reason} for s in skipped],
    }


def _tell(skipped: Sequence[Skipped], note: Callable[[str], None] | None) -> None:
    if skipped and note is not None:
        for item in skipped[:5]:
            note(f"skipped an unreadable image: {item.name} ({item.reason})")
        note(f"{len(skipped)} unreadable images were left out of the neuron directions")


def _find(
    store: ArtifactStore, key: dict, note: Callable[[str], None] | None, kind: str = KIND
) -> NeuronDirections | None:
    if note is None:
        artifact = store.load(kind, key)
    else:
        lookup = store.lookup(kind, key)
        artifact = lookup.artifact
        if lookup.reason is not None:
            note(f"a stored artifact was ignored: {lookup.reason}")
    return None if artifact is None else NeuronDirections.from_tensors(artifact.tensors)
