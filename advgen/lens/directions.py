"""The direction of a neuron: the first principal component of its second-order effects.

Source: arXiv 2406.04341, Sec. 4.1; recipe of the released code. All of it happens in the k = (later
layers x heads) dimensions of the coefficients: ``phi = alpha @ U`` with ``G = U U^T``.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from jaxtyping import Float, Int
from torch import Tensor

from advgen.lens.basis import EffectBasis
from advgen.lens.coefficients import CoefficientTable

SIGNIFICANT_QUANTILE = 0.98
_CHUNK_BYTES = 192 << 20
_ROW_EMBED = 768  # about how many numbers a basis row has, for sizing chunks


@dataclass(frozen=True, slots=True, eq=False)
class NeuronDirections:
    """Summary of the second-order effects of one layer's neurons over an image set.

    Norms and projections are in the units of the effects (those of the unnormalised image
    embedding); "centred" means minus the mean over the whole image set.

    Args:
        direction: r_n, unit norm; zero for a neuron whose effect never varies.
        bias: b_n, mean effect over the image set.
        explained_variance: Share of the top images' centred energy along r_n, in [0, 1].
        mean_projection: Mean over the top images of the signed projection of the centred effect.
        top_images: Indices of the images with the largest centred norms, largest first.
        top_norms: Those norms.
        norm_threshold: The last of them: the authors' bound between small and large effects.
        norm_quantile: 98th percentile of the centred norm over the image set: effects above it are
            the paper's significant 2 %.
    """

    direction: Float[Tensor, "neuron embed"]
    bias: Float[Tensor, "neuron embed"]
    explained_variance: Float[Tensor, " neuron"]
    mean_projection: Float[Tensor, " neuron"]
    top_images: Int[Tensor, "neuron top"]
    top_norms: Float[Tensor, "neuron top"]
    norm_threshold: Float[Tensor, " neuron"]
    norm_quantile: Float[Tensor, " neuron"]

    def __len__(self) -> int:
        """Number of neurons."""
        return self.direction.shape[0]

    def to_tensors(self) -> dict[str, Tensor]:
        """The fields by name, for storing."""
        return {item.name: getattr(self, item.name) for item in fields(self)}

    @classmethod
    def joined(cls, parts: Sequence[dict[str, Tensor]]) -> "NeuronDirections":
        """The neurons of several parts in a row, on the CPU."""
        return cls(**{name: torch.cat([part[name] for part in parts]).cpu() for name in parts[0]})

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor]) -> "NeuronDirections":
        """The inverse of `to_tensors`.

        Raises:
            ValueError: If the names are not exactly the fields.
        """
        names = {item.name for item in fields(cls)}
        if set(tensors) != names:
            raise ValueError(f"expected tensors {sorted(names)}; got {sorted(tensors)}")
        return cls(**tensors)


@torch.no_grad()
def principal_directions(
    table: CoefficientTable, basis: EffectBasis, layer: int, *, top_images: int = 100
) -> NeuronDirections:
    """First principal component of each neuron's effects over its images of largest effect.

    The effects are centred by their mean over all images, S_n is the `top_images` images of
    largest centred norm, r_n the top right-singular vector of the effects on S_n (not centred
    again), signed so that more than half of S_n projects positively.

    Differs from the paper: the text does not fix the centring nor the sign; both follow the
    released code. On an exact tie of signs, the vector whose largest entry is negative is taken.

    Args:
        table: Coefficients of every image and neuron of the layer.
        basis: Their basis.
        layer: The layer.
        top_images: Size of S_n; all images where there are fewer.

    Raises:
        ValueError: If `top_images` is not positive or the table is empty.
    """
    if top_images < 1 or table.images < 1:
        raise ValueError(
            f"expected top_images >= 1 and at least one image; got {top_images} and {table.images}"
        )
    top = min(top_images, table.images)
    return NeuronDirections.joined(
        [_summarise(table, basis.rows(layer, chunk), chunk, top) for chunk in neuron_chunks(table)]
    )


def neuron_chunks(table: CoefficientTable) -> list[slice]:
    """Slices of the neuron axis whose coefficients fit a fixed amount of working memory."""
    return neuron_slices(table.neurons, table.images, table.later)


def neuron_slices(neurons: int, images: int, later: int) -> list[slice]:
    """Slices of the neuron axis for work on ``[neuron, image, later]`` and on basis rows."""
    per_neuron = 4 * later * (4 * images + 2 * _ROW_EMBED)
    step = max(1, min(256, _CHUNK_BYTES // max(1, per_neuron)))
    return [slice(start, min(start + step, neurons)) for start in range(0, neurons, step)]


def centred_rows(
    table: CoefficientTable, rows: Tensor, neurons: slice
) -> tuple[Float[Tensor, "neuron image later"], Float[Tensor, "neuron 1 later"]]:
    """Coefficients minus their mean over images, and that mean, in the format of `rows`."""
    alpha = table.rows(neurons).to(rows.device, rows.dtype).transpose(0, 1).contiguous()
    mean = alpha.mean(dim=1, keepdim=True)
    return alpha.sub_(mean), mean


def effect_norms(
    alpha: Float[Tensor, "neuron image later"], rows: Float[Tensor, "neuron later embed"]
) -> Float[Tensor, "neuron image"]:
    """Norms of the effects ``alpha @ rows``, through the Gram matrix of the rows where cheaper."""
    images, later, embed = alpha.shape[1], alpha.shape[2], rows.shape[2]
    if later * embed + images * later < images * embed:
        gram = rows @ rows.transpose(1, 2)
        return ((alpha @ gram) * alpha).sum(dim=-1).clamp_min(0).sqrt()
    return (alpha @ rows).norm(dim=-1)


def _summarise(
    table: CoefficientTable, rows: Float[Tensor, "neuron later embed"], chunk: slice, top: int
) -> dict[str, Tensor]:
    """The fields of `NeuronDirections` for one chunk of neurons."""
    alpha, mean = centred_rows(table, rows, chunk)
    norms = effect_norms(alpha, rows)
    top_norms, top_images = norms.topk(top, dim=1)
    index = top_images[:, :, None].expand(-1, -1, table.later)
    return summarise_top(
        alpha.gather(1, index),
        rows,
        mean=mean[:, 0],
        norms=norms,
        top_norms=top_norms,
        top_images=table.numbers.to(top_images.device)[top_images],
    )


def summarise_top(
    strongest: Float[Tensor, "neuron top later"],
    rows: Float[Tensor, "neuron later embed"],
    *,
    mean: Float[Tensor, "neuron later"],
    norms: Float[Tensor, "neuron image"],
    top_norms: Float[Tensor, "neuron top"],
    top_images: Int[Tensor, "neuron top"],
) -> dict[str, Tensor]:
    """The fields of `NeuronDirections` of some neurons.

    Args:
        strongest: Centred coefficients of the images of largest centred norm.
        rows: Their basis.
        mean: Mean coefficients over all images.
        norms: Centred norms of all images, in any order.
        top_norms: The largest ones, largest first.
        top_images: The numbers of their images.
    """
    top = strongest.shape[1]
    direction, explained = first_component(strongest, rows)
    projection = (strongest @ (rows @ direction[:, :, None]))[:, :, 0]
    flip = (projection > 0).sum(dim=1) * 2 <= top
    sign = torch.where(flip, -1.0, 1.0).to(rows.dtype)
    return {
        "direction": direction * sign[:, None],
        "bias": (mean[:, None] @ rows)[:, 0],
        "explained_variance": explained,
        "mean_projection": projection.mean(dim=1) * sign,
        "top_images": top_images,
        "top_norms": top_norms,
        "norm_threshold": top_norms[:, -1],
        "norm_quantile": norms.quantile(SIGNIFICANT_QUANTILE, dim=1),
    }


def first_component(
    alpha: Float[Tensor, "neuron image later"], rows: Float[Tensor, "neuron later embed"]
) -> tuple[Float[Tensor, "neuron embed"], Float[Tensor, " neuron"]]:
    """Top right-singular vector of ``alpha @ rows`` and its share of the energy, per neuron.

    Found in the smaller of two spaces. With fewer rows than images: ``G = L L^T`` for the rows'
    Gram matrix, and the vector is ``V z`` for the top eigenvector z of ``(alpha L)^T (alpha L)``;
    as ``V z ~ U^T alpha^T alpha L z``, nothing is divided by a small eigenvalue of G. With fewer
    images: from the eigenvectors of the effects' own Gram matrix over images.

    Returns:
        Unit vectors whose entry of largest magnitude is positive (zero where there is no energy),
        and the share in [0, 1].
    """
    if alpha.shape[2] <= alpha.shape[1]:
        values, vectors = _eigh(rows @ rows.transpose(1, 2))
        root = vectors * values.clamp_min(0).sqrt()[:, None, :]
        coordinates = alpha @ root
        energies, axes = _eigh(coordinates.transpose(1, 2) @ coordinates)
        scores = coordinates @ axes[:, :, -1:]
        direction = ((scores.transpose(1, 2) @ alpha) @ rows)[:, 0]
    else:
        effects = alpha @ rows
        energies, axes = _eigh(effects @ effects.transpose(1, 2))
        direction = (axes[:, :, -1:].transpose(1, 2) @ effects)[:, 0]
    energies = energies.clamp_min(0)
    norm = direction.norm(dim=1, keepdim=True)
    direction = torch.where(norm > 0, direction / norm.clamp_min(1e-30), 0.0)
    largest = direction.gather(1, direction.abs().argmax(dim=1, keepdim=True))
    share = energies[:, -1] / energies.sum(dim=1).clamp_min(1e-30)
    return torch.where(largest < 0, -direction, direction), share


def _eigh(matrices: Float[Tensor, "neuron later later"]) -> tuple[Tensor, Tensor]:
    """`torch.linalg.eigh` on one thread: LAPACK's threads only wait on many small matrices.

    256 matrices of 36 x 36 took 15 ms on one thread and 1.0 s on two threads of a busy machine.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        values, vectors = torch.linalg.eigh(matrices)
    finally:
        torch.set_num_threads(threads)
    return values, vectors
