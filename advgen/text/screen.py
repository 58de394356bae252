"""Screens: which atoms may have the largest |<t_j, r>|, found cheaply and without losing any.

A screen scores every atom roughly and knows how wrong a rough score can be. The roughly best atom
is scored in full precision; an atom whose rough score and error together stay below that cannot be
the best, so the short list of the others holds the best one for certain.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int, Int8
from torch import Tensor

BLOCK = 64
_TINY = 1e-30
_TOP = 127
_UNIT_ROUNDOFF = {"highest": 2.0**-24, "high": 2.0**-10, "medium": 2.0**-7}
_PAIRS_AT_ONCE = 8192


@dataclass(frozen=True, slots=True)
class Rough:
    """Rough scores: `scores * scale + offset` is within `error` of `<t_j, r>`.

    Attributes:
        scores: Float or int [block, BLOCK, residual].
        scale: Float [block, residual].
        offset: Float [residual].
        error: Float [block, residual].
        order: Int [row], numbers of the atoms in the blocks; the last may repeat.
    """

    scores: Float[Tensor, "block 64 residual"] | Int[Tensor, "block 64 residual"]
    scale: Float[Tensor, "block residual"]
    offset: Float[Tensor, " residual"]
    error: Float[Tensor, "block residual"]
    order: Int[Tensor, " row"]

    def blocks(self) -> Float[Tensor, "block residual"]:
        """The largest rough |<t_j, r>| of every block."""
        high = torch.addcmul(self.offset, self.scores.amax(dim=1), self.scale)
        low = torch.addcmul(self.offset, self.scores.amin(dim=1), self.scale)
        return torch.maximum(high, -low)

    def within(
        self, block: Int[Tensor, " pair"], residual: Int[Tensor, " pair"]
    ) -> Float[Tensor, "pair 64"]:
        """The rough |<t_j, r>| of all atoms of some blocks."""
        scale, offset = self.scale[block, residual], self.offset[residual]
        return (self.scores[block, :, residual] * scale[:, None] + offset[:, None]).abs()


class Float32Screen:
    """Scores by one float32 matrix product.

    The error of a product of rows t and r is at most (2u + d e) |t| |r|, where u is the rounding of
    the inputs as `torch.get_float32_matmul_precision` allows it, and e that of float32 sums.
    """

    def __init__(self, atoms: Float[Tensor, "atom embed"]) -> None:
        count, width = atoms.shape
        self.order = _whole_blocks(torch.arange(count, device=atoms.device))
        self.rows = _whole_blocks(atoms.float())
        inputs = _UNIT_ROUNDOFF[torch.get_float32_matmul_precision()]
        self.error = (2 * inputs + (width + 8) * 2.0**-23) * _longest(self.rows)

    def rough(self, residuals: Float[Tensor, "residual embed"]) -> Rough:
        """Rough scores of all atoms against some residuals."""
        rows = residuals.float()
        error = self.error[:, None] * rows.norm(dim=1)
        scores = (self.rows @ rows.T).view(-1, BLOCK, len(rows))
        return Rough(scores, torch.ones_like(error), error.new_zeros(len(rows)), error, self.order)


class Int8Screen:
    """Scores by one 8-bit integer matrix product, several times as fast where the CPU has VNNI.

    Atoms are turned by a fixed random rotation, which leaves products alone and spreads what lies
    in a few dimensions over all; their mean is taken off and accounted for exactly; and atoms with
    like largest entries share a block, which has its own step. With the quantised t' and r',
    |<t, r> - <t', r'>| <= |t - t'| |r| + |t'| |r - r'|; the lengths are measured, not estimated.
    """

    rows: Int8[Tensor, "row embed"]

    def __init__(self, atoms: Float[Tensor, "atom embed"]) -> None:
        width = atoms.shape[1]
        self.rotation = _rotation(width).to(atoms.device)
        turned = atoms.float() @ self.rotation
        rounding = (width + 8) * 2.0**-22 * turned.norm(dim=1).amax()
        self.center = turned.mean(dim=0)
        turned -= self.center
        self.order = _whole_blocks(turned.abs().amax(dim=1).argsort(stable=True))
        turned = turned[self.order]
        self.step = (_blocks(turned).abs().amax(dim=(1, 2)) / _TOP).clamp_min(_TINY)
        steps = self.step.repeat_interleave(BLOCK)[:, None]
        coarse = (turned / steps).round_()
        self.rows = coarse.to(torch.int8)
        coarse *= steps
        self.reach = _longest(coarse)
        self.error = _longest(turned.sub_(coarse)) + rounding

    def rough(self, residuals: Float[Tensor, "residual embed"]) -> Rough:
        """Rough scores of all atoms against some residuals."""
        turned = residuals.float() @ self.rotation
        step = (turned.abs().amax(dim=1) / _TOP).clamp_min(_TINY)
        coarse = (turned / step[:, None]).round_()
        lost = (turned - coarse * step[:, None]).norm(dim=1)
        scores = _int_mm(self.rows, coarse.to(torch.int8).T)
        return Rough(
            scores.view(-1, BLOCK, len(turned)),
            self.step[:, None] * step,
            turned @ self.center,
            self.error[:, None] * turned.norm(dim=1) + self.reach[:, None] * lost,
            self.order,
        )


def best_atoms(
    residuals: Float[Tensor, "residual embed"],
    atoms: Float[Tensor, "atom embed"],
    screen: Float32Screen | Int8Screen,
) -> tuple[Int[Tensor, " residual"], Int[Tensor, " residual"]]:
    """The atom of largest |<t_j, r>| for every residual; of equal ones the first.

    Args:
        residuals: Residuals r, none of them zero.
        atoms: The atoms t_j that the screen was made from, in the residuals' dtype.
        screen: Decides which atoms are scored in that dtype; the result does not depend on it.

    Returns:
        Numbers of the best atoms, and how many atoms were scored for each residual.
    """
    rough = screen.rough(residuals)
    blocks = rough.blocks()
    everyone = torch.arange(len(residuals), device=residuals.device)
    block = blocks.argmax(dim=0)
    likely = rough.order[block * BLOCK + rough.within(block, everyone).argmax(dim=1)]
    floor = _scores(residuals, everyone, atoms, likely) * (1 - 2.0**-16)
    block, residual = (blocks + rough.error >= floor).nonzero(as_tuple=True)
    least = (floor[residual] - rough.error[block, residual])[:, None]
    pair, inside = (rough.within(block, residual) >= least).nonzero(as_tuple=True)
    residual = torch.cat([everyone, residual[pair]])
    atom = torch.cat([likely, rough.order[block[pair] * BLOCK + inside]])
    scores = _scores(residuals, residual, atoms, atom)
    best = scores.new_zeros(len(residuals)).scatter_reduce(0, residual, scores, "amax")
    atom = atom.where(scores == best[residual], len(atoms))
    first = torch.full_like(everyone, len(atoms)).scatter_reduce(0, residual, atom, "amin")
    return first, torch.bincount(residual, minlength=len(residuals))


def int8_is_fast() -> bool:
    """Whether this CPU multiplies 8-bit integers fast, and its kernel does so without saturating.

    Some kernels for CPUs without VNNI add pairs of products in 16 bits, which can overflow.
    """
    supported = getattr(torch.cpu, "_is_vnni_supported", None)
    if supported is None or not (torch.backends.mkldnn.is_available() and supported()):
        return False
    full = torch.full((BLOCK, BLOCK), _TOP, dtype=torch.int8)
    exact = BLOCK * _TOP**2
    return all(bool((_int_mm(full, full * s) == s * exact).all()) for s in (-1, 1))


def _int_mm(left: Int8[Tensor, "m k"], right: Int8[Tensor, "k n"]) -> Int[Tensor, "m n"]:
    return torch._int_mm(left, right)  # pyright: ignore[reportPrivateImportUsage]


def _scores(
    residuals: Float[Tensor, "residual embed"],
    residual: Int[Tensor, " pair"],
    atoms: Float[Tensor, "atom embed"],
    atom: Int[Tensor, " pair"],
) -> Float[Tensor, " pair"]:
    """|<t_j, r>| of pairs, each summed in the same order, so that equal atoms score the same."""
    pairs = zip(residual.split(_PAIRS_AT_ONCE), atom.split(_PAIRS_AT_ONCE), strict=True)
    return torch.cat([(residuals[r] * atoms[a]).sum(dim=1) for r, a in pairs]).abs_()


def _whole_blocks(rows: Tensor) -> Tensor:
    """Rows with the last repeated until they fill blocks."""
    return torch.cat([rows, rows[-1:].expand(-len(rows) % BLOCK, *rows.shape[1:])])


def _blocks(rows: Float[Tensor, "row embed"]) -> Float[Tensor, "block 64 embed"]:
    return rows.view(-1, BLOCK, rows.shape[1])


def _longest(rows: Float[Tensor, "row embed"]) -> Float[Tensor, " block"]:
    return _blocks(rows).norm(dim=2).amax(dim=1)


def _rotation(width: int) -> Float[Tensor, "width width"]:
    noise = torch.randn(
        width, width, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    )
    return torch.linalg.qr(noise).Q.float()
