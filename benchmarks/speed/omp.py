"""Speed and exactness of the batched pursuit against scikit-learn's `orthogonal_mp`.

Run as ``python -m benchmarks.speed.omp``; nothing is downloaded. The reference is timed on the same
inputs in float32, its faster precision; both solvers run in turns, and ratios are of time per
target, by the wall clock and by CPU time (which other jobs on the machine disturb less).
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import orthogonal_mp
from threadpoolctl import threadpool_limits
from torch import Tensor
from torch.nn import functional as F

from advgen.store import write_atomic
from advgen.text import BatchedOmp, SparseCodes
from advgen.text.screen import int8_is_fast

SUPPORT = 40
NOISE = 0.5


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds per target."""

    wall: float
    cpu: float


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--targets", type=int, default=256)
    parser.add_argument("--atoms", type=int, default=30_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--nonzeros", type=int, default=128)
    parser.add_argument("--sklearn-targets", type=int, default=16, help="timed with scikit-learn")
    parser.add_argument("--double-targets", type=int, default=4, help="compared in float64")
    parser.add_argument("--rounds", type=int, default=4, help="turns that each solver takes")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--no-growth", action="store_true", help="leave the growth table out")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    return parser.parse_args(arguments)


def problem(targets: int, atoms: int, dim: int, seed: int) -> tuple[Tensor, Tensor]:
    """Unit atoms in a common cone with low-rank structure; unit targets partly in their span."""
    draw = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=draw)

    cone = F.normalize(normal(1, dim), dim=1)
    shared = F.normalize(normal(atoms, 64) @ normal(64, dim), dim=1)
    rows = F.normalize(0.8 * cone + 0.5 * shared + F.normalize(normal(atoms, dim), dim=1), dim=1)
    support = torch.randint(atoms, (targets, SUPPORT), generator=draw)
    sums = F.normalize(torch.einsum("ts,tse->te", normal(targets, SUPPORT), rows[support]), dim=1)
    noise = NOISE * F.normalize(normal(targets, dim), dim=1)
    return F.normalize(sums + noise, dim=1), rows


def timed(action: Callable[[], object], targets: int) -> Cost:
    """Cost of one call per target."""
    wall, cpu = time.perf_counter(), time.process_time()
    action()
    return Cost((time.perf_counter() - wall) / targets, (time.process_time() - cpu) / targets)


def reference(targets: Tensor, atoms: Tensor, nonzeros: int) -> list[set[int]]:
    """Supports that scikit-learn finds, in the inputs' precision."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        dense = orthogonal_mp(atoms.numpy().T, targets.numpy().T, n_nonzero_coefs=nonzeros)
    return [
        set(np.flatnonzero(column).tolist())
        for column in np.asarray(dense).reshape(len(atoms), -1).T
    ]


def supports(codes: SparseCodes) -> list[set[int]]:
    """Atoms of every target."""
    return [set(row) - {-1} for row in codes.indices.tolist()]


def same(ours: list[set[int]], theirs: list[set[int]]) -> float:
    """Share of targets with identical supports."""
    return statistics.fmean(a == b for a, b in zip(ours, theirs, strict=True))


def compare(options: argparse.Namespace) -> dict[str, object]:
    """Time both solvers in turns and compare what they choose."""
    targets, atoms = problem(options.targets, options.atoms, options.dim, options.seed)
    solver, nonzeros = BatchedOmp(), options.nonzeros
    solver.solve(targets[:2], atoms, 2)
    ours: list[Cost] = []
    theirs: list[Cost] = []
    for part in targets[: options.sklearn_targets].chunk(options.rounds):
        theirs.append(timed(lambda part=part: reference(part, atoms, nonzeros), len(part)))
        ours.append(timed(lambda: solver.solve(targets, atoms, nonzeros), len(targets)))
    codes, effort = solver.solve_counted(targets, atoms, nonzeros)
    exact = solver.solve(targets.double(), atoms.double(), nonzeros)
    few = options.double_targets
    oracle = reference(targets[:few].double(), atoms.double(), nonzeros)
    walls = sorted(b.wall / a.wall for a, b in zip(ours, theirs, strict=True))
    cpus = sorted(b.cpu / a.cpu for a, b in zip(ours, theirs, strict=True))
    return {
        "sklearn_ms": 1e3 * statistics.median(cost.wall for cost in theirs),
        "batched_ms": 1e3 * statistics.median(cost.wall for cost in ours),
        "wall_ratio": statistics.median(walls),
        "wall_ratios": walls,
        "cpu_ratio": statistics.median(cpus),
        "cpu_ratios": cpus,
        "same_float32_as_batched_float64": same(supports(codes), supports(exact)),
        "same_float64_as_sklearn_float64": same(supports(exact)[:few], oracle),
        "same_float32_as_sklearn_float64": same(supports(codes)[:few], oracle),
        "searches": effort.searches,
        "scored_per_search": effort.scored / effort.searches,
        "fallbacks": effort.fallbacks,
        "residual": torch.dist(codes.reconstruct(atoms), targets).item() / len(targets) ** 0.5,
    }


def growth(options: argparse.Namespace) -> list[dict[str, float]]:
    """CPU time per target over pool size and m, as multiples of the smallest case."""
    count = min(64, options.targets)
    targets, atoms = problem(count, options.atoms, options.dim, options.seed)
    rows: list[dict[str, float]] = []
    for size in (options.atoms // 4, options.atoms // 2, options.atoms):
        for nonzeros in (options.nonzeros // 4, options.nonzeros // 2, options.nonzeros):
            cost = min(
                timed(lambda: BatchedOmp().solve(targets, atoms[:size], nonzeros), count).cpu  # noqa: B023
                for _ in range(2)
            )
            rows.append({"atoms": size, "nonzeros": nonzeros, "cpu_ms": 1e3 * cost})
    for row in rows:
        row["times"] = row["cpu_ms"] / rows[0]["cpu_ms"]
    return rows


def peak_mib() -> float:
    """Largest resident set of this process so far, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def show(options: argparse.Namespace, found: dict[str, object]) -> None:
    """Print the comparison."""
    print(
        f"{options.targets} targets, {options.atoms} atoms, {options.dim} dimensions, "
        f"{options.nonzeros} non-zeros, {options.threads} threads, "
        f"8-bit screen {'on' if int8_is_fast() else 'off'}"
    )
    for name, value in found.items():
        if isinstance(value, list):
            print(f"{name:34s}" + " ".join(f"{number:.1f}" for number in value))
        else:
            print(f"{name:34s}{value:.4g}")


def main(arguments: list[str] | None = None) -> None:
    """Print the ratio, the shares of identical supports, fallbacks, growth and memory."""
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    with threadpool_limits(options.threads, user_api="blas"):
        found = compare(options)
    found["peak_mib"] = peak_mib()
    show(options, found)
    table = [] if options.no_growth else growth(options)
    for row in table:
        print(
            f"atoms {row['atoms']:6.0f}  non-zeros {row['nonzeros']:4.0f}  "
            f"{row['cpu_ms']:7.2f} ms CPU per target  {row['times']:6.2f}x"
        )
    if options.json:
        report = json.dumps({**found, "growth": table}, indent=2) + "\n"
        write_atomic(options.json, report.encode())


if __name__ == "__main__":
    main()
