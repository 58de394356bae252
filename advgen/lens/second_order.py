"""The second-order lens: what a neuron adds to the image embedding through later attention heads.

Source: arXiv 2406.04341, Sec. 3. The attention and the layer norms' scales of the given image are
frozen; every effect is then linear in the neuron's activations.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor

from advgen.lens.attention import scaled_attention
from advgen.lens.basis import EffectBasis, Treatment
from advgen.lens.coefficients import Coefficients, CoefficientTable, StreamedTable
from advgen.lens.directions import NeuronDirections, principal_directions
from advgen.models.protocol import ClipModel
from advgen.models.vision import Capture

Scale = Literal["none", "unit"]
"""``"unit"`` divides by the image's embedding norm and multiplies by 100, as the released code."""

ALL_NEURONS = slice(None)
DEFAULT_BUDGET = 1 << 30


@dataclass(frozen=True, slots=True, eq=False)
class CollectedEffects:
    """The second-order effects of all neurons of some layers over an image set.

    Args:
        tables: Layer -> coefficients of every neuron and image.
        representation: Image embeddings, not normalised, in the scale of the effects.
    """

    tables: dict[int, CoefficientTable]
    representation: Float[Tensor, "image embed"]

    @property
    def numbers(self) -> Int[Tensor, " image"]:
        """The number of each image in its set."""
        return next(iter(self.tables.values())).numbers


class SecondOrderLens:
    """Second-order effects of the neurons of some layers (Eq. 5 with the norms of Eq. 11).

    Args:
        clip: Model with a vision transformer that `advgen.models.vision` reads.
        layers: MLP layers, counted from 0, in any order; the last block's neurons have no later
            head to act through and are refused.
        treatment: Layer-norm means, see `EffectBasis`. Differs from the paper: ``"centered"``.
        scale: ``"none"`` as in the equations, ``"unit"`` as in the released code.

    Raises:
        ValueError: If a layer does not exist or is the last one, or an option is unknown.
        ModelError: If the vision tower is of another kind.
    """

    def __init__(
        self,
        clip: ClipModel,
        layers: Sequence[int],
        *,
        treatment: Treatment = "paper",
        scale: Scale = "none",
    ) -> None:
        if scale not in get_args(Scale):
            raise ValueError(f"scale must be 'none' or 'unit'; got {scale!r}")
        self.clip = clip
        self.tower = clip.vision
        last = self.tower.layers - 2
        if not layers or not all(0 <= layer <= last for layer in layers):
            raise ValueError(f"layers must be a non-empty subset of 0..{last}; got {list(layers)}")
        self.layers = tuple(sorted(set(layers)))
        self.basis = EffectBasis(self.tower, treatment)
        self._treatment: Treatment = treatment
        self._scale: Scale = scale
        self._readers = range(self.layers[0] + 1, self.tower.layers)
        self._blocks = {layer: self.tower.block(layer) for layer in self._readers}

    def restricted(self, layers: Sequence[int]) -> "SecondOrderLens":
        """The same lens for fewer layers, sharing its basis."""
        lens = SecondOrderLens(self.clip, layers, treatment=self._treatment, scale=self._scale)
        lens.basis = self.basis
        return lens

    @torch.inference_mode()
    def coefficients(self, pixels: Float[Tensor, "image 3 height width"]) -> Coefficients:
        """One forward pass: alpha[n,(l',h)](I) = (1/sigma_post) sum_i a_i p_i / sigma_i.

        Args:
            pixels: A batch as `ClipModel.preprocess` gives it. Working memory beyond the forward
                pass is 4 * image * token * neuron * layers bytes.

        Returns:
            Coefficients in float32 (float64 for a float64 tower), on the tower's device.
        """
        capture = self.tower.capture(pixels, activations=self.layers, norms=self._readers)
        pooling, factor = self.tower.pooling, self._image_factor(capture)
        weights = pooling.weights(capture.final) * factor[:, None, None]
        attention = {
            layer: scaled_attention(
                capture.residuals.pop(layer),
                capture.normed.pop(layer),
                self._blocks[layer],
                weights,
                pooling.tokens,
            ).flatten(1, 2)
            for layer in self._readers
        }
        alpha = {}
        for layer in self.layers:
            later = torch.cat([attention[other] for other in self._readers if other > layer], dim=1)
            activations = capture.activations.pop(layer).to(later.dtype)
            alpha[layer] = activations.transpose(1, 2) @ later.transpose(1, 2)
        return Coefficients(alpha, capture.representation * factor[:, None])

    @torch.no_grad()
    def effects(
        self,
        pixels: Float[Tensor, "image 3 height width"],
        layer: int,
        neurons: slice = ALL_NEURONS,
    ) -> Float[Tensor, "image neuron embed"]:
        """The effects phi_n(I) themselves, for looking at a few: image * neuron * embed numbers.

        Raises:
            ValueError: If `layer` is not one of the lens's.
        """
        if layer not in self.layers:
            raise ValueError(f"layer must be one of {self.layers}; got {layer}")
        alpha = self.coefficients(pixels).alpha[layer][:, neurons]
        return torch.einsum("ink,nke->ine", alpha, self.basis.rows(layer, neurons))

    def collect(
        self,
        batches: Iterable[Float[Tensor, "_ 3 height width"]],
        *,
        alpha_dtype: torch.dtype = torch.float16,
        memory_bytes: int = DEFAULT_BUDGET,
    ) -> CollectedEffects:
        """Stream an image set once and keep the coefficients of all its images.

        Args:
            batches: Preprocessed images; the batch sizes do not matter to the result.
            alpha_dtype: Number format kept.
            memory_bytes: What the tables may hold in memory together; beyond that a table goes to
                a temporary file.

        Raises:
            ValueError: If there is no image.
        """
        tables = self.empty_tables(alpha_dtype, memory_bytes)
        representations = []
        for pixels in batches:
            batch = self.coefficients(pixels)
            representations.append(batch.representation.cpu())
            for layer in self.layers:
                tables[layer].append(batch.alpha.pop(layer))
        if not representations:
            raise ValueError("expected at least one batch of images; got none")
        return CollectedEffects(dict(tables), torch.cat(representations))

    def directions(
        self,
        batches: Iterable[Float[Tensor, "_ 3 height width"]],
        *,
        top_images: int = 100,
        alpha_dtype: torch.dtype = torch.float16,
        memory_bytes: int = DEFAULT_BUDGET,
    ) -> dict[int, NeuronDirections]:
        """The first principal component of every neuron's effects, see `principal_directions`.

        Args:
            batches: Preprocessed images, as for `collect`.
            top_images: Images of largest effect per neuron that the component is taken from; all
                of them where the set is smaller.
            alpha_dtype: As for `collect`.
            memory_bytes: As for `collect`.

        Returns:
            Layer -> directions, on the CPU.
        """
        collected = self.collect(batches, alpha_dtype=alpha_dtype, memory_bytes=memory_bytes)
        return {
            layer: principal_directions(table, self.basis, layer, top_images=top_images)
            for layer, table in collected.tables.items()
        }

    def _image_factor(self, capture: Capture) -> Float[Tensor, " image"]:
        norms = capture.representation.norm(dim=-1)
        return 100.0 / norms if self._scale == "unit" else torch.ones_like(norms)

    def empty_tables(self, dtype: torch.dtype, memory_bytes: int) -> dict[int, StreamedTable]:
        """A table per layer, to be filled batch by batch; they share the memory budget."""
        later = {layer: self.basis.size(layer) for layer in self.layers}
        total = sum(later.values())
        return {
            layer: StreamedTable(
                self.tower.neurons, size, dtype=dtype, budget=memory_bytes * size // total
            )
            for layer, size in later.items()
        }
