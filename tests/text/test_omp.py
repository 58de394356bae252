import numpy as np
import pytest
import torch
from sklearn.linear_model import OrthogonalMatchingPursuit
from torch import Tensor
from torch.nn import functional as F

from advgen.errors import ConfigError
from advgen.text.solvers import SOLVERS, make_solver
from advgen.text.sparse import SparseCodes


@pytest.fixture(params=SOLVERS)
def solver(request: pytest.FixtureRequest):
    return make_solver(request.param)


def unit_rows(*shape: int) -> Tensor:
    return F.normalize(torch.randn(*shape, dtype=torch.float64), dim=-1)


def greedy(target: np.ndarray, atoms: np.ndarray, nonzeros: int) -> dict[int, float]:
    """OMP as its definition says it: best atom, then least squares over all chosen, and again."""
    chosen: list[int] = []
    residual, fit = target, np.zeros(0)
    for _ in range(nonzeros):
        chosen.append(int(np.argmax(np.abs(atoms @ residual))))
        fit = np.linalg.lstsq(atoms[chosen].T, target, rcond=None)[0]
        residual = target - atoms[chosen].T @ fit
    return dict(zip(chosen, fit, strict=True))


def code_of(codes: SparseCodes, target: int) -> dict[int, float]:
    pairs = zip(codes.indices[target].tolist(), codes.values[target].tolist(), strict=True)
    return {index: value for index, value in pairs if index >= 0}


@pytest.mark.parametrize("nonzeros", [1, 5, 16])
def test_supports_and_coefficients_are_those_of_the_greedy_loop(solver, nonzeros: int) -> None:
    atoms, targets = unit_rows(200, 16), unit_rows(12, 16)
    codes = solver.solve(targets, atoms, nonzeros)
    for number, target in enumerate(targets.numpy()):
        expected = greedy(target, atoms.numpy(), nonzeros)
        found = code_of(codes, number)
        assert found.keys() == expected.keys()
        for index, value in expected.items():
            assert found[index] == pytest.approx(value, rel=1e-5, abs=1e-6)


def test_the_estimator_of_scikit_learn_agrees(solver) -> None:
    atoms, targets = unit_rows(300, 24), unit_rows(10, 24)
    estimator = OrthogonalMatchingPursuit(n_nonzero_coefs=7, fit_intercept=False)
    estimator.fit(atoms.numpy().T, targets.numpy().T)
    dense = solver.solve(targets, atoms, 7).dense(300).numpy()
    assert ((dense != 0) == (estimator.coef_ != 0)).all()
    np.testing.assert_allclose(dense, estimator.coef_, rtol=1e-5, atol=1e-6)


def test_a_sparse_sum_of_orthogonal_atoms_is_found_exactly(solver) -> None:
    atoms = torch.eye(6, dtype=torch.float64)
    target = torch.tensor([[0.0, -3.0, 0.0, 1.0, 2.0, 0.0]], dtype=torch.float64)
    codes = solver.solve(target, atoms, 3)
    assert codes.indices.tolist() == [[1, 4, 3]]
    assert codes.values.tolist() == [[-3.0, 2.0, 1.0]]


def test_a_code_stops_when_nothing_is_left_to_explain(solver) -> None:
    targets = torch.tensor([[0.0, 2.0, 0.0], [0.0, 0.0, 0.0]])
    codes = solver.solve(targets, torch.eye(3), 3)
    assert code_of(codes, 0) == {1: 2.0}
    assert code_of(codes, 1) == {}
    assert codes.indices.tolist() == [[1, -1, -1], [-1, -1, -1]]


def test_of_repeated_atoms_one_is_used(solver) -> None:
    atoms = unit_rows(8, 8).repeat(2, 1)
    target = (0.8 * atoms[2] - 0.3 * atoms[5])[None]
    codes = solver.solve(target, atoms, 8)
    rebuilt = codes.dense(16).double() @ atoms
    torch.testing.assert_close(rebuilt, target, rtol=0, atol=1e-6)
    chosen = [index % 8 for index in code_of(codes, 0)]
    assert len(chosen) == len(set(chosen))


def test_more_atoms_never_explain_less(solver) -> None:
    atoms, target = unit_rows(60, 12), unit_rows(1, 12)
    lengths = [
        torch.dist(solver.solve(target, atoms, m).dense(60).double() @ atoms, target).item()
        for m in range(1, 13)
    ]
    assert all(
        later <= earlier + 1e-6 for earlier, later in zip(lengths, lengths[1:], strict=False)
    )
    assert lengths[-1] < 1e-5


def test_codes_are_sorted_by_magnitude(solver) -> None:
    sizes = solver.solve(unit_rows(5, 10), unit_rows(50, 10), 6).values.abs()
    assert (sizes[:, :-1] >= sizes[:, 1:]).all()


@pytest.mark.parametrize(
    ("targets", "atoms", "nonzeros", "complaint"),
    [
        ((2, 4), (9, 5), 2, "targets have 4 dimensions, atoms 5"),
        ((2, 4), (9, 4), 0, "between 1 and 4 here, got 0"),
        ((2, 4), (9, 4), 5, "between 1 and 4 here, got 5"),
        ((2, 4), (3, 4), 4, "between 1 and 3 here, got 4"),
    ],
)
def test_wrong_shapes_are_named(
    solver,
    targets: tuple[int, int],
    atoms: tuple[int, int],
    nonzeros: int,
    complaint: str,
    shapes_unchecked: None,
) -> None:
    with pytest.raises(ValueError, match=complaint):
        solver.solve(unit_rows(*targets), unit_rows(*atoms), nonzeros)


def test_dense_rows_hold_the_coefficients_and_no_padding() -> None:
    codes = SparseCodes(torch.tensor([[3, 0], [1, -1]]), torch.tensor([[2.0, -1.0], [0.5, 0.0]]))
    assert codes.dense(4).tolist() == [[-1.0, 0.0, 0.0, 2.0], [0.0, 0.5, 0.0, 0.0]]


def test_an_unknown_solver_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="sklearn"):
        make_solver("guess")
