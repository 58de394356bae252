"""Indirect effects: what changes in the embedding when a neuron is set to its mean.

Source: arXiv 2406.04341, Sec. 3.2 and Table 1, the measure that second-order effects are compared
with. Unlike these it lets everything after the neuron react, at the cost of a partial forward pass
per neuron and image: the pass up to the neuron's layer is made once, neurons go through the rest in
batches.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from advgen.lens.directions import NeuronDirections, summarise_top
from advgen.models.protocol import ClipModel

DEFAULT_ROWS = 256


@torch.inference_mode()
def mean_activations(
    clip: ClipModel, batches: Iterable[Float[Tensor, "_ 3 height width"]], layers: Sequence[int]
) -> dict[int, Float[Tensor, "token neuron"]]:
    """Mean post-activation of every neuron on every token, over an image set.

    Args:
        clip: Model with a vision transformer that `advgen.models.vision` reads.
        batches: Preprocessed images.
        layers: MLP layers, counted from 0.

    Raises:
        ValueError: If there is no image.
    """
    tower = clip.vision
    total = {layer: torch.zeros((), dtype=torch.float64) for layer in layers}
    count = 0
    for pixels in batches:
        capture = tower.capture(pixels, activations=layers)
        for layer in layers:
            summed = capture.activations[layer].sum(0, dtype=torch.float64)
            total[layer] = total[layer].to(summed.device) + summed
        count += len(pixels)
    if not count:
        raise ValueError("expected at least one batch of images; got none")
    return {layer: (total[layer] / count).to(tower.working_dtype) for layer in layers}


@torch.inference_mode()
def ablated_layer(
    clip: ClipModel,
    pixels: Float[Tensor, "image 3 height width"],
    layer: int,
    mean: Float[Tensor, "token neuron"],
) -> Float[Tensor, "image embed"]:
    """Embeddings with every neuron of a layer set to its per-token mean, the rest rerun.

    Args:
        clip: Model with a vision transformer that `advgen.models.vision` reads.
        pixels: Preprocessed images.
        layer: MLP layer, counted from 0.
        mean: Of `mean_activations`.

    Returns:
        Embeddings, not normalised.
    """
    tower = clip.vision
    capture = tower.capture(pixels, activations=(layer,), outputs=(layer,))
    change = mean - capture.activations[layer].to(mean.dtype)
    stream = capture.outputs[layer] + change @ tower.block(layer).writes.T
    return tower.finish(stream, layer + 1)


@torch.inference_mode()
def indirect_effects(
    clip: ClipModel,
    pixels: Float[Tensor, "image 3 height width"],
    layer: int,
    mean: Float[Tensor, "token neuron"],
    neurons: Sequence[int],
    *,
    rows: int = DEFAULT_ROWS,
) -> Float[Tensor, "image chosen embed"]:
    """M(I) - M(I; neuron set to its mean), for chosen neurons of a layer.

    Args:
        clip: Model with a vision transformer that `advgen.models.vision` reads.
        pixels: Preprocessed images.
        layer: MLP layer, counted from 0.
        mean: Of `mean_activations`.
        neurons: Indices of neurons.
        rows: Images times neurons that pass the rest of the tower together.

    Raises:
        ValueError: If a neuron does not exist.
    """
    tower = clip.vision
    if not all(0 <= neuron < tower.neurons for neuron in neurons):
        raise ValueError(f"neurons must be in 0..{tower.neurons - 1}; got {list(neurons)}")
    capture = tower.capture(pixels, activations=(layer,), outputs=(layer,))
    chosen = torch.tensor(list(neurons), dtype=torch.long, device=tower.device)
    writes = tower.block(layer).writes[:, chosen]
    change = mean[:, chosen] - capture.activations[layer][:, :, chosen].to(mean.dtype)
    plain, stream = capture.representation, capture.outputs[layer]
    step = max(1, rows // len(pixels))
    parts = []
    for start in range(0, len(chosen), step):
        some = slice(start, start + step)
        moved = torch.einsum("itn,wn->nitw", change[:, :, some], writes[:, some]) + stream
        changed = tower.finish(moved.flatten(0, 1), layer + 1)
        parts.append(plain - changed.unflatten(0, moved.shape[:2]))
    return torch.cat(parts).transpose(0, 1)


def indirect_directions(
    clip: ClipModel,
    batches: Callable[[], Iterable[Float[Tensor, "_ 3 height width"]]],
    layer: int,
    neurons: Sequence[int],
    *,
    top_images: int = 100,
) -> NeuronDirections:
    """Directions of indirect effects by the same recipe as `principal_directions` (Table 1).

    Args:
        clip: Model with a vision transformer that `advgen.models.vision` reads.
        batches: Starts iterating over the preprocessed images; called twice.
        layer: MLP layer, counted from 0.
        neurons: Indices of neurons; the result's rows are in their order.
        top_images: Images that a direction is fitted to.

    Raises:
        ValueError: If there is no image or a neuron does not exist.
    """
    mean = mean_activations(clip, batches(), [layer])[layer]
    parts = [
        indirect_effects(clip, pixels, layer, mean, neurons).cpu().clone() for pixels in batches()
    ]
    return NeuronDirections.joined(list(_summaries(torch.cat(parts), top_images)))


def _summaries(
    effects: Float[Tensor, "image neuron embed"], top_images: int
) -> Iterator[dict[str, Tensor]]:
    """`summarise_top` on explicit effects, a neuron at a time."""
    top = min(top_images, len(effects))
    identity = torch.eye(effects.shape[2], dtype=effects.dtype)[None]
    for neuron in range(effects.shape[1]):
        values = effects[:, neuron]
        mean = values.mean(dim=0, keepdim=True)
        centred = values - mean
        norms = centred.norm(dim=1)
        order: Int[Tensor, " top"] = norms.topk(top).indices
        yield summarise_top(
            centred[order][None],
            identity,
            mean=mean,
            norms=norms[None],
            top_norms=norms[order][None],
            top_images=order[None],
        )
