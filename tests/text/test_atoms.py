import numpy as np
import pytest
import torch

from advgen.errors import ConfigError
from advgen.text.atoms import ATOM_TREATMENTS, make_atoms, treat_atoms
from advgen.text.solvers import omp
from advgen.text.sparse import SparseCodes


def by_the_book(rows: np.ndarray, treatment: str) -> np.ndarray:
    """The three treatments in numpy, as the design writes them down."""
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    if treatment == "centered-unit":
        rows = rows - rows.mean(axis=0)
        rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    if treatment == "authors":
        rows = 100 * rows
        rows = rows - rows.mean(axis=0)
        rows = 100 * rows / np.linalg.norm(rows, axis=0)
    return rows


@pytest.mark.parametrize("treatment", ATOM_TREATMENTS)
def test_treatments_follow_their_formulas(treatment: str) -> None:
    rows = torch.randn(40, 6, dtype=torch.float64) + 2.0
    found = make_atoms(rows, treatment).numpy()
    np.testing.assert_allclose(found, by_the_book(rows.numpy(), treatment), rtol=1e-10)


@pytest.mark.parametrize("treatment", ATOM_TREATMENTS)
def test_the_length_of_an_embedding_does_not_matter(treatment: str) -> None:
    rows = torch.randn(9, 4)
    lengths = torch.rand(9, 1) + 0.5
    torch.testing.assert_close(make_atoms(rows * lengths, treatment), make_atoms(rows, treatment))


@pytest.mark.parametrize("treatment", ATOM_TREATMENTS)
def test_empty_rows_and_dimensions_give_zeros_not_nan(treatment: str) -> None:
    rows = torch.zeros(3, 4)
    rows[:2, 0] = torch.tensor([1.0, -1.0])
    atoms = treat_atoms(rows, treatment)
    assert torch.isfinite(atoms.rows).all()
    assert atoms.rows[2].abs().sum() == 0
    codes = SparseCodes(torch.tensor([[0, 1]]), torch.tensor([[1.0, -1.0]]))
    assert torch.isfinite(atoms.reconstruct(codes)).all()


def test_an_unknown_treatment_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="unit, centered-unit, authors"):
        make_atoms(torch.eye(2), "whitened")


@pytest.mark.parametrize("treatment", ATOM_TREATMENTS)
def test_what_the_solver_found_comes_close_to_the_target(treatment: str) -> None:
    atoms = treat_atoms(torch.randn(60, 8, dtype=torch.float64) + 1.0, treatment)
    targets = torch.randn(3, 8, dtype=torch.float64)
    codes = omp(targets, atoms.rows, 8)
    torch.testing.assert_close(atoms.approximate(codes), targets)


@pytest.mark.parametrize(
    ("treatment", "fitted"), [("unit", True), ("centered-unit", True), ("authors", False)]
)
def test_the_way_back_leads_to_the_embeddings(treatment: str, fitted: bool) -> None:
    rows = torch.randn(30, 5, dtype=torch.float64) + 1.0
    atoms = treat_atoms(rows, treatment)
    codes = SparseCodes(
        torch.tensor([[3, 7], [11, -1]]), torch.tensor([[2.0, -0.5], [1.5, 0.0]]).double()
    )
    back = atoms.reconstruct(codes)
    assert torch.allclose(back, atoms.approximate(codes)) == fitted
    embeddings = rows / rows.norm(dim=1, keepdim=True)
    mean = embeddings.mean(dim=0) if treatment != "unit" else torch.zeros(5).double()
    parts = embeddings - mean
    if treatment == "centered-unit":
        parts = parts / parts.norm(dim=1, keepdim=True)
    expected = torch.stack([2.0 * parts[3] - 0.5 * parts[7], 1.5 * parts[11]])
    torch.testing.assert_close(back, expected)
