"""From neuron directions to words: pools, atoms, sparse codes, and how good they are."""

from advgen.text.atoms import ATOM_TREATMENTS, Atoms, make_atoms, treat_atoms
from advgen.text.batched_omp import BatchedOmp
from advgen.text.decompose import EncodedPool, decompose, encode_pool, signed_words
from advgen.text.faithfulness import (
    Faithfulness,
    Summary,
    control_predictions,
    predict,
    score_predictions,
)
from advgen.text.pools import TextPool, load_pool, read_pool_file
from advgen.text.sklearn_omp import SklearnOmp
from advgen.text.solvers import make_solver, omp
from advgen.text.sparse import Solver, SparseCodes

__all__ = [
    "ATOM_TREATMENTS",
    "Atoms",
    "BatchedOmp",
    "EncodedPool",
    "Faithfulness",
    "SklearnOmp",
    "Solver",
    "SparseCodes",
    "Summary",
    "TextPool",
    "control_predictions",
    "decompose",
    "encode_pool",
    "load_pool",
    "make_atoms",
    "make_solver",
    "omp",
    "predict",
    "read_pool_file",
    "score_predictions",
    "signed_words",
    "treat_atoms",
]
