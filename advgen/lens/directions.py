"""The direction of a neuron: the first principal component of its second-order effects.

Source: arXiv 2406.04341, Sec. 4.1; recipe of the released code. All of it happens in the k = (later
layers x heads) dimensions of the coefficients: ``phi = alpha @ U`` with ``G = U U^T``.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields

import torch
from jaxtyping import Float, Int
from torch import Tensor

from advgen.lens.basis import EffectBasis
from advgen.lens.coefficients import CoefficientTable

SIGNIFICANT_QUANTILE = 0.98
_CHUNK_BYTES = 192 << 20


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
    parts = [
        _summarise(table, basis.rows(layer, chunk), chunk, min(top_images, table.images))
        for chunk in neuron_chunks(table)
    ]
    return NeuronDirections(
        **{name: torch.cat([part[name] for part in parts]).cpu() for name in parts[0]}
    )


def neuron_chunks(table: CoefficientTable) -> Iterator[slice]:
    """Slices of the neuron axis whose coefficients fit a fixed amount of working memory."""
    per_neuron = 4 * 4 * table.images * table.later
    step = max(1, min(256, _CHUNK_BYTES // max(1, per_neuron)))
    for start in range(0, table.neurons, step):
        yield slice(start, min(start + step, table.neurons))


def centred_rows(
    table: CoefficientTable, rows: Tensor, neurons: slice
) -> tuple[Float[Tensor, "neuron image later"], Float[Tensor, "neuron 1 later"]]:
    """Coefficients minus their mean over images, and that mean, in the format of `rows`."""
    alpha = table.rows(neurons).to(rows.device, rows.dtype).transpose(0, 1).contiguous()
    mean = alpha.mean(dim=1, keepdim=True)
    return alpha.sub_(mean), mean


def _summarise(
    table: CoefficientTable, rows: Float[Tensor, "neuron later embed"], chunk: slice, top: int
) -> dict[str, Tensor]:
    """The fields of `NeuronDirections` for one chunk of neurons."""
    alpha, mean = centred_rows(table, rows, chunk)
    gram = rows @ rows.transpose(1, 2)
    norms = ((alpha @ gram) * alpha).sum(dim=-1).clamp_min(0).sqrt()
    top_norms, top_images = norms.topk(top, dim=1)
    index = top_images[:, :, None].expand(-1, -1, table.later)
    strongest = alpha.gather(1, index)
    direction, explained = first_component(strongest, rows, gram)
    projection = (strongest @ (rows @ direction[:, :, None]))[:, :, 0]
    flip = (projection > 0).sum(dim=1) * 2 <= top
    sign = torch.where(flip, -1.0, 1.0).to(rows.dtype)
    return {
        "direction": direction * sign[:, None],
        "bias": (mean @ rows)[:, 0],
        "explained_variance": explained,
        "mean_projection": projection.mean(dim=1) * sign,
        "top_images": top_images,
        "top_norms": top_norms,
        "norm_threshold": top_norms[:, -1],
        "norm_quantile": norms.quantile(SIGNIFICANT_QUANTILE, dim=1),
    }


def first_component(
    alpha: Float[Tensor, "neuron image later"],
    rows: Float[Tensor, "neuron later embed"],
    gram: Float[Tensor, "neuron later later"],
) -> tuple[Float[Tensor, "neuron embed"], Float[Tensor, " neuron"]]:
    """Top right-singular vector of ``alpha @ rows`` and its share of the energy, per neuron.

    With ``G = L L^T`` the rows are ``U = L V^T`` for an orthonormal V, so the vector is
    ``V z`` for the top eigenvector z of ``(alpha L)^T (alpha L)``. As
    ``V z ~ U^T alpha^T alpha L z``, nothing is divided by a small eigenvalue of G.

    Returns:
        Unit vectors whose entry of largest magnitude is positive (zero where there is no energy),
        and the share in [0, 1].
    """
    values, vectors = _eigh(gram)
    root = vectors * values.clamp_min(0).sqrt()[:, None, :]
    coordinates = alpha @ root
    energies, axes = _eigh(coordinates.transpose(1, 2) @ coordinates)
    scores = coordinates @ axes[:, :, -1:]
    direction = ((scores.transpose(1, 2) @ alpha) @ rows)[:, 0]
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
