"""Directions without stored coefficients: the images pass the tower twice.

The first pass gives every neuron's mean effect, the second the norms of the centred effects and the
coefficients of the images of largest norm, which is all that a direction is made of. Layers are
taken in groups whose sums fit the memory budget.
"""

from collections.abc import Callable, Iterator, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from advgen.imagesets.batches import PixelBatches, Skipped, require_some_readable
from advgen.lens.directions import NeuronDirections, neuron_slices, summarise_top
from advgen.lens.second_order import SecondOrderLens

GROUP_BYTES = 2 << 30
_EFFECT_BYTES = 192 << 20


def two_pass_directions(
    lens: SecondOrderLens,
    source: PixelBatches,
    *,
    top_images: int = 100,
    group_bytes: int = GROUP_BYTES,
    advance: Callable[[int], None] = lambda images: None,
) -> Iterator[tuple[int, NeuronDirections, tuple[Skipped, ...]]]:
    """The directions of `SecondOrderLens.directions`, to rounding, within a memory budget.

    Args:
        lens: The lens.
        source: Preprocessed images by batch.
        top_images: Images that a direction is fitted to; all where there are fewer.
        group_bytes: What the sums of the layers that are taken together may take; one layer is
            taken even if it needs more.
        advance: Told how many images were done; every image counts twice per group of layers.

    Yields:
        Layer, its directions on the CPU, and the images that could not be read; layer by layer, so
        that a caller can store what is done.

    Raises:
        ValueError: If `top_images` is not positive.
        DataError: If no image could be read.
    """
    if top_images < 1:
        raise ValueError(f"expected top_images >= 1; got {top_images}")
    for group in layer_groups(lens, len(source.images), top_images, group_bytes):
        part = lens.restricted(group)
        skipped: dict[int, Skipped] = {}
        means = {layer: _Mean() for layer in group}
        for alphas, _ in _passes(part, source, skipped, advance):
            for layer, alpha in alphas.items():
                means[layer].add(alpha)
        unread = tuple(skipped[index] for index in sorted(skipped))
        require_some_readable(source.images, unread)
        tops = {layer: _Strongest(part, layer, means[layer].value(), top_images) for layer in group}
        for alphas, numbers in _passes(part, source, skipped, advance):
            for layer, alpha in alphas.items():
                tops[layer].add(alpha, numbers)
        for layer in group:
            yield layer, tops[layer].directions(), unread


def layer_groups(
    lens: SecondOrderLens, images: int, top_images: int, group_bytes: int
) -> list[list[int]]:
    """Layers in order, cut so that each group's sums fit the budget."""
    groups: list[list[int]] = []
    room = 0
    for layer in lens.layers:
        size = lens.basis.size(layer)
        needed = lens.tower.neurons * (4 * images + (4 * top_images + 8) * size)
        if not groups or needed > room:
            groups.append([])
            room = group_bytes
        groups[-1].append(layer)
        room -= needed
    return groups


def _passes(
    lens: SecondOrderLens,
    source: PixelBatches,
    skipped: dict[int, Skipped],
    advance: Callable[[int], None],
) -> Iterator[tuple[dict[int, Tensor], Int[Tensor, " image"]]]:
    for batch in source.read(range(len(source))):
        skipped.update({item.index: item for item in batch.skipped})
        if batch.indices:
            yield lens.coefficients(batch.pixels).alpha, torch.tensor(batch.indices)
        advance(len(batch.indices) + len(batch.skipped))


class _Mean:
    """A mean over images, summed in float64."""

    def __init__(self) -> None:
        self.count = 0
        self._sum: Tensor | None = None
        self._dtype = torch.float32

    def add(self, alpha: Float[Tensor, "image neuron later"]) -> None:
        total = alpha.sum(dim=0, dtype=torch.float64)
        self._sum = total if self._sum is None else self._sum + total
        self.count, self._dtype = self.count + len(alpha), alpha.dtype

    def value(self) -> Float[Tensor, "neuron later"]:
        if self._sum is None:
            raise ValueError("expected at least one image; got none")
        return (self._sum / self.count).to(self._dtype)


class _Strongest:
    """Norms of a layer's centred effects, and the coefficients of the largest ones."""

    def __init__(
        self, lens: SecondOrderLens, layer: int, mean: Float[Tensor, "neuron later"], top: int
    ) -> None:
        self._lens, self._layer, self._mean, self._top = lens, layer, mean, top
        self._norms: list[Tensor] = []
        self._kept_norms = mean.new_empty(len(mean), 0)
        self._kept_numbers = torch.empty(len(mean), 0, dtype=torch.long, device=mean.device)
        self._kept = mean.new_empty(len(mean), 0, mean.shape[1])

    def add(
        self, alpha: Float[Tensor, "image neuron later"], numbers: Int[Tensor, " image"]
    ) -> None:
        centred = (alpha - self._mean).transpose(0, 1)
        norms = torch.cat([self._norm(centred, chunk) for chunk in self._chunks(len(alpha))])
        self._norms.append(norms)
        every = torch.cat([self._kept_norms, norms], dim=1)
        numbers = numbers.to(norms.device).expand(len(norms), -1)
        order = every.sort(dim=1, descending=True, stable=True).indices[:, : self._top]
        self._kept_norms = every.gather(1, order)
        self._kept_numbers = torch.cat([self._kept_numbers, numbers], dim=1).gather(1, order)
        wide = order[:, :, None].expand(-1, -1, centred.shape[2])
        self._kept = torch.cat([self._kept, centred], dim=1).gather(1, wide)

    def directions(self) -> NeuronDirections:
        norms = torch.cat(self._norms, dim=1)
        chunks = neuron_slices(len(norms), self._kept.shape[1], self._kept.shape[2])
        parts = [
            summarise_top(
                self._kept[chunk],
                self._lens.basis.rows(self._layer, chunk),
                mean=self._mean[chunk],
                norms=norms[chunk],
                top_norms=self._kept_norms[chunk],
                top_images=self._kept_numbers[chunk],
            )
            for chunk in chunks
        ]
        return NeuronDirections.joined(parts)

    def _norm(self, centred: Tensor, chunk: slice) -> Tensor:
        return (centred[chunk] @ self._lens.basis.rows(self._layer, chunk)).norm(dim=-1)

    def _chunks(self, images: int) -> Sequence[slice]:
        embed = self._lens.tower.embed_dim
        step = max(1, _EFFECT_BYTES // (4 * embed * (images + self._mean.shape[1])))
        return [slice(start, start + step) for start in range(0, len(self._mean), step)]
