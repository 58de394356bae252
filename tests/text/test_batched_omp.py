import numpy as np
import pytest
import torch
from sklearn.linear_model import orthogonal_mp
from torch import Tensor
from torch.nn import functional as F

from advgen.errors import ConfigError
from advgen.text import BatchedOmp, SparseCodes, batched_omp, make_solver, omp
from advgen.text.batched_omp import SCREENS
from advgen.text.screen import BLOCK, best_atoms, int8_is_fast


@pytest.fixture(params=SCREENS)
def screen(request: pytest.FixtureRequest) -> str:
    return request.param


def in_a_cone(count: int, width: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """Unit rows around a common mean, a few dimensions of which are much larger than the rest."""
    rows = torch.randn(count, width, dtype=dtype)
    rows[:, :2] *= 8
    return F.normalize(rows + 6 * torch.ones(width, dtype=dtype) / width**0.5, dim=1)


def supports(codes: SparseCodes) -> list[set[int]]:
    return [set(row) - {-1} for row in codes.indices.tolist()]


@pytest.mark.parametrize("lengths", ["unit", "uneven"])
def test_in_float64_supports_are_those_of_scikit_learn(screen: str, lengths: str) -> None:
    atoms, targets = in_a_cone(1500, 48), F.normalize(torch.randn(30, 48).double(), dim=1)
    if lengths == "uneven":
        atoms *= 0.2 + 3 * torch.rand(len(atoms), 1, dtype=torch.float64)
    codes = BatchedOmp(screen).solve(targets, atoms, 24)
    dense = np.asarray(orthogonal_mp(atoms.numpy().T, targets.numpy().T, n_nonzero_coefs=24)).T
    assert supports(codes) == [set(np.flatnonzero(row)) for row in dense]
    np.testing.assert_allclose(codes.dense(len(atoms)).numpy(), dense, rtol=1e-8, atol=1e-10)


def test_float32_chooses_almost_always_as_float64(screen: str) -> None:
    atoms, targets = in_a_cone(1500, 48), torch.randn(60, 48).double()
    exact = supports(BatchedOmp(screen).solve(targets, atoms, 24))
    found = supports(BatchedOmp(screen).solve(targets.float(), atoms.float(), 24))
    assert sum(a == b for a, b in zip(exact, found, strict=True)) >= 57


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_neither_screen_nor_chunks_change_a_byte(dtype: torch.dtype) -> None:
    atoms, targets = in_a_cone(700, 32, dtype), torch.randn(23, 32, dtype=dtype)
    codes = [
        BatchedOmp(screen, chunk_bytes).solve(targets, atoms, 12)
        for screen in SCREENS
        for chunk_bytes in (1, 40_000, 1 << 24)
    ]
    assert all(torch.equal(code.indices, codes[0].indices) for code in codes)
    assert all(torch.equal(code.values, codes[0].values) for code in codes)


@pytest.mark.parametrize("count", [1, 5, BLOCK, BLOCK + 1, 1000])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_best_atom_is_never_screened_away(screen: str, count: int, dtype: torch.dtype) -> None:
    atoms = in_a_cone(count, 40, dtype) * (0.1 + torch.rand(count, 1, dtype=dtype))
    residuals = torch.randn(50, 40, dtype=dtype) * torch.logspace(-9, 3, 50, dtype=dtype)[:, None]
    best, scored = best_atoms(residuals, atoms, SCREENS[screen](atoms))
    scores = (atoms.double() @ residuals.double().T).abs()
    reached = scores.gather(0, best[None])[0]
    torch.testing.assert_close(reached, scores.amax(dim=0), rtol=1e-5, atol=0)
    if dtype == torch.float64:
        assert best.tolist() == scores.argmax(dim=0).tolist()
    assert (scored >= 1).all()


def test_a_reduced_precision_of_matrix_products_is_allowed_for() -> None:
    atoms, residuals = in_a_cone(1000, 64, torch.float32), torch.randn(20, 64)
    before = torch.get_float32_matmul_precision()
    expected, exactly = best_atoms(residuals, atoms, SCREENS["float32"](atoms))
    try:
        torch.set_float32_matmul_precision("medium")
        found, roughly = best_atoms(residuals, atoms, SCREENS["float32"](atoms))
    finally:
        torch.set_float32_matmul_precision(before)
    assert torch.equal(found, expected)
    assert roughly.sum() > exactly.sum()


def test_of_equal_atoms_the_first_is_chosen(screen: str) -> None:
    once = in_a_cone(150, 24, torch.float32)
    targets = torch.randn(10, 24)
    plain = BatchedOmp(screen).solve(targets, once, 8)
    thrice = BatchedOmp(screen).solve(targets, once.repeat(3, 1), 8)
    assert torch.equal(thrice.indices, plain.indices)
    torch.testing.assert_close(thrice.values, plain.values)


def test_a_pool_of_one_repeated_atom_gives_one_word(screen: str) -> None:
    atoms = F.normalize(torch.randn(1, 16), dim=1).repeat(600, 1)
    codes, effort = BatchedOmp(screen).solve_counted(torch.randn(4, 16), atoms, 3)
    assert codes.indices.tolist() == [[0, -1, -1]] * 4
    assert effort.fallbacks >= 4
    assert effort.scored > 600


def test_targets_stop_one_by_one(screen: str) -> None:
    atoms = F.normalize(torch.randn(90, 20), dim=1)
    targets = torch.stack([2 * atoms[7], atoms[3] * 0, torch.randn(20), atoms[40] * 1e-12])
    codes = BatchedOmp(screen).solve(targets, atoms, 6)
    assert [len(row) for row in supports(codes)] == [1, 0, 6, 1]
    assert codes.indices[[0, 3], 0].tolist() == [7, 40]
    alone = BatchedOmp(screen).solve(targets[2:3], atoms, 6)
    assert torch.equal(alone.indices[0], codes.indices[2])


def test_a_dependent_atom_ends_a_code_without_nan(screen: str) -> None:
    plane = torch.zeros(30, 8)
    plane[:, :2] = F.normalize(torch.randn(30, 2), dim=1)
    codes = BatchedOmp(screen).solve(torch.randn(5, 8), plane, 8)
    assert all(len(row) == 2 for row in supports(codes))
    assert codes.values.isfinite().all()


def test_no_target_gives_no_code(screen: str) -> None:
    codes, effort = BatchedOmp(screen).solve_counted(torch.zeros(0, 8), torch.eye(8), 3)
    assert codes.indices.shape == codes.values.shape == (0, 3)
    assert effort.searches == 0


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        (torch.float32, torch.float32, torch.float32),
        (torch.float64, torch.float32, torch.float64),
        (torch.bfloat16, torch.float32, torch.float32),
    ],
)
@pytest.mark.parametrize("solver", ["batched", "sklearn"])
def test_values_have_the_wider_dtype(
    solver: str, left: torch.dtype, right: torch.dtype, expected: torch.dtype
) -> None:
    codes = omp(torch.randn(3, 8).to(left), in_a_cone(20, 8).to(right), 4, solver=solver)
    assert codes.values.dtype == expected
    assert codes.indices.dtype == torch.int64


@pytest.mark.parametrize("solver", ["batched", "sklearn"])
def test_what_is_not_finite_is_refused(solver: str) -> None:
    with pytest.raises(ValueError, match="expected finite targets"):
        omp(torch.full((1, 4), torch.nan), torch.eye(4), 2, solver=solver)
    with pytest.raises(ValueError, match="expected finite atoms"):
        omp(torch.ones(1, 4), torch.eye(4) / 0, 2, solver=solver)


def test_an_unknown_screen_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="float32, int8"):
        BatchedOmp("bfloat16")


def test_the_screen_for_a_machine_is_one_of_the_known() -> None:
    assert int8_is_fast() in (True, False)
    assert BatchedOmp().solve(torch.randn(1, 512), torch.randn(600, 512), 2).indices.min() >= 0


@pytest.mark.parametrize("name", ["batched", "sklearn"])
def test_lengths_are_solved_as_if_alone(name):
    generator = torch.Generator().manual_seed(3)
    atoms = torch.randn(40, 12, generator=generator, dtype=torch.float64)
    targets = torch.randn(5, 12, generator=generator, dtype=torch.float64)
    targets[2] = 2 * atoms[7] - atoms[9]  # its code ends after two atoms
    solver = make_solver(name)
    found = solver.solve_lengths(targets, atoms, (3, 1, 8))
    assert list(found) == [3, 1, 8]
    for length, codes in found.items():
        alone = solver.solve(targets, atoms, length)
        assert torch.equal(codes.indices, alone.indices)
        assert torch.allclose(codes.values, alone.values)


@pytest.mark.skipif(not int8_is_fast(), reason="no fast 8-bit products on this CPU")
def test_a_finer_screen_takes_over_where_the_8_bit_one_is_of_no_use(monkeypatch):
    """Targets mostly outside what the atoms span leave residuals that all atoms hardly touch."""
    generator = torch.Generator().manual_seed(5)
    atoms = F.normalize(torch.randn(3000, 12, generator=generator), dim=1)
    atoms = F.pad(atoms, (0, 52))
    targets = F.normalize(torch.randn(40, 64, generator=generator), dim=1)
    targets[:, :12] *= 0.3
    codes, effort = BatchedOmp("int8").solve_counted(targets, atoms, 10)
    monkeypatch.setattr(batched_omp, "MEAN_LIST", 10**9)
    expected, without = BatchedOmp("int8").solve_counted(targets, atoms, 10)
    assert torch.equal(codes.indices, expected.indices)
    assert torch.equal(codes.values, expected.values)
    assert effort.scored < without.scored / 2
