"""Exact orthogonal matching pursuit of many targets at once."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from advgen.errors import ConfigError
from advgen.text.screen import Float32Screen, Int8Screen, best_atoms, int8_is_fast
from advgen.text.sparse import SparseCodes, checked, sorted_codes

SCREENS: dict[str, type[Float32Screen] | type[Int8Screen]] = {
    "float32": Float32Screen,
    "int8": Int8Screen,
}
CHUNK_BYTES = {"cpu": 32 << 20, "other": 2 << 30}
CHUNK_MULTIPLE = 32
LONG_LIST = 512
MEAN_LIST = 96
"""Atoms scored per search beyond which a chunk goes on with the float32 screen."""
_WORTH_SCREENING = 1 << 18


@dataclass(frozen=True, slots=True)
class Effort:
    """What the screen left to score in full precision.

    Attributes:
        searches: Times that the best atom of a residual was looked for.
        scored: Atoms scored in full precision, over all searches.
        fallbacks: Searches whose short list was longer than `LONG_LIST`: the screen was of no use.
    """

    searches: int = 0
    scored: int = 0
    fallbacks: int = 0

    def __add__(self, other: Effort) -> Effort:
        return Effort(
            self.searches + other.searches,
            self.scored + other.scored,
            self.fallbacks + other.fallbacks,
        )


class BatchedOmp:
    """Orthogonal matching pursuit with one matrix product per step for a chunk of targets.

    A step screens all atoms (`advgen.text.screen`), scores the short list in the inputs' precision,
    takes the largest |<t_j, r>| (of equal ones the first), makes it orthogonal to the atoms chosen
    before (Gram-Schmidt, twice) and takes its share off the residual r. Coefficients come from one
    triangular solve at the end. A target stops early when its residual is rounding noise or the
    best atom depends linearly on the chosen ones. The screen decides about speed only; where its
    short lists grow long (residuals that hardly any atom speaks for), a finer one takes over.

    Args:
        screen: `int8` or `float32`; None takes the faster one for the machine and the pool.
        chunk_bytes: Working memory for a chunk of targets; None takes 32 MiB on a CPU (about its
            cache) and 2 GiB elsewhere. Inputs and the screen's copy of the atoms come on top.

    Source: arXiv 2406.04341, Sec. 4.2 (the paper uses scikit-learn's solver).
    """

    name = "batched"

    def __init__(self, screen: str | None = None, chunk_bytes: int | None = None) -> None:
        if screen is not None and screen not in SCREENS:
            raise ConfigError(f"unknown screen '{screen}'; choose one of {', '.join(SCREENS)}")
        self.screen = screen
        self.chunk_bytes = chunk_bytes

    def solve(
        self,
        targets: Float[Tensor, "target embed"],
        atoms: Float[Tensor, "atom embed"],
        nonzeros: int,
    ) -> SparseCodes:
        """See `Solver.solve`."""
        return self.solve_counted(targets, atoms, nonzeros)[0]

    def solve_counted(
        self,
        targets: Float[Tensor, "target embed"],
        atoms: Float[Tensor, "atom embed"],
        nonzeros: int,
    ) -> tuple[SparseCodes, Effort]:
        """As `solve`, with the effort that it took."""
        codes, effort = self._run(targets, atoms, (nonzeros,))
        return codes[nonzeros], effort

    def solve_lengths(
        self,
        targets: Float[Tensor, "target embed"],
        atoms: Float[Tensor, "atom embed"],
        lengths: Sequence[int],
    ) -> dict[int, SparseCodes]:
        """See `Solver.solve_lengths`; one pursuit to the greatest length serves all of them."""
        return self._run(targets, atoms, lengths)[0]

    def _run(
        self, targets: Tensor, atoms: Tensor, lengths: Sequence[int]
    ) -> tuple[dict[int, SparseCodes], Effort]:
        longest = max(lengths)
        targets, atoms = checked(targets, atoms, longest)
        checked(targets, atoms, min(lengths))
        with torch.no_grad():
            screen = SCREENS[self.screen or _faster_screen(atoms)](atoms)
            finer = functools.cache(lambda: Float32Screen(atoms))
            runs = [
                _Pursuit(chunk, atoms, screen, finer, longest).run(lengths)
                for chunk in targets.split(self._chunk(atoms, longest))
            ]
        codes = {
            length: SparseCodes(
                torch.cat([codes[length].indices for codes, _ in runs]),
                torch.cat([codes[length].values for codes, _ in runs]),
            )
            for length in lengths
        }
        return codes, sum((effort for _, effort in runs), Effort())

    def _chunk(self, atoms: Float[Tensor, "atom embed"], nonzeros: int) -> int:
        kind = "cpu" if atoms.device.type == "cpu" else "other"
        budget = self.chunk_bytes or CHUNK_BYTES[kind]
        basis = nonzeros * (atoms.shape[1] + nonzeros) * atoms.element_size()
        count = max(1, budget // (4 * len(atoms) + basis))
        # Matrix products over odd numbers of columns are up to half as slow again.
        return count - count % CHUNK_MULTIPLE if count > CHUNK_MULTIPLE else count


class _Pursuit:
    """The pursuit of one chunk of targets.

    With Q the basis and U the factor, the chosen atoms are the columns of Q U, and the residual is
    the target less Q z; so U gamma = z.
    """

    def __init__(
        self,
        targets: Float[Tensor, "target embed"],
        atoms: Float[Tensor, "atom embed"],
        screen: Float32Screen | Int8Screen,
        finer: Callable[[], Float32Screen],
        nonzeros: int,
    ) -> None:
        count, width = targets.shape
        self.atoms, self.screen, self.nonzeros = atoms, screen, nonzeros
        self.finer = finer
        self.residual = targets.clone()
        self.basis = targets.new_zeros(count, nonzeros, width)
        self.factor = torch.eye(nonzeros, dtype=targets.dtype, device=targets.device).repeat(
            count, 1, 1
        )
        self.along = targets.new_zeros(count, nonzeros)
        self.chosen = torch.full((count, nonzeros), -1, device=targets.device)
        self.precision = torch.finfo(targets.dtype).eps
        self.noise = 32 * self.precision * targets.norm(dim=1)
        self.alive: Bool[Tensor, " target"] = self.residual.norm(dim=1) > 0
        self.effort = Effort()

    def run(self, lengths: Sequence[int]) -> tuple[dict[int, SparseCodes], Effort]:
        for step in range(self.nonzeros):
            if not self.alive.any():
                break
            self._append(step, self._best())
        return {length: self._code(length) for length in lengths}, self.effort

    def _code(self, length: int) -> SparseCodes:
        """The code after so many steps: the first atoms, with coefficients of their own."""
        factor, along = self.factor[:, :length, :length], self.along[:, :length, None]
        gamma = torch.linalg.solve_triangular(factor, along, upper=True)
        return sorted_codes(self.chosen[:, :length], gamma[:, :, 0])

    def _best(self) -> Int[Tensor, " target"]:
        """The best atom of every target that is not done; -1 for the others."""
        rows = self.alive.nonzero()[:, 0]
        best, scored = best_atoms(self.residual[rows], self.atoms, self.screen)
        long = int((scored > LONG_LIST).sum())
        self.effort += Effort(len(rows), int(scored.sum()), long)
        if scored.sum() > MEAN_LIST * len(rows):
            self.screen = self.finer()
        return torch.full_like(self.chosen[:, 0], -1).index_put((rows,), best)

    def _append(self, step: int, atom: Int[Tensor, " target"]) -> None:
        """Take one more atom into each code, unless it depends on those already there."""
        basis = self.basis[:, :step]
        vector = self.atoms[atom.clamp_min(0)]
        shares = vector.new_zeros(len(vector), step)
        smallest = self.precision**0.5 * vector.norm(dim=1)
        for _ in range(2):
            share = torch.bmm(vector[:, None], basis.mT)[:, 0]
            vector = vector - torch.bmm(share[:, None], basis)[:, 0]
            shares += share
        height = vector.norm(dim=1)
        grows = self.alive & (height > smallest)
        vector = torch.where(grows[:, None], vector / height[:, None], 0.0)
        share = (vector * self.residual).sum(dim=1)
        self.residual -= share[:, None] * vector
        self.basis[:, step] = vector
        self.factor[:, :step, step] = shares.where(grows[:, None], 0.0)
        self.factor[:, step, step] = height.where(grows, 1.0)
        self.along[:, step] = share
        self.chosen[:, step] = atom.where(grows, -1)
        self.alive = grows & (self.residual.norm(dim=1) > self.noise)


def _faster_screen(atoms: Float[Tensor, "atom embed"]) -> str:
    large = atoms.numel() >= _WORTH_SCREENING
    return "int8" if large and atoms.device.type == "cpu" and int8_is_fast() else "float32"
