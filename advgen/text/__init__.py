"""From neuron directions to words: pools, atoms, sparse codes."""

from advgen.text.atoms import ATOM_TREATMENTS, make_atoms
from advgen.text.decompose import EncodedPool, decompose, encode_pool, signed_words
from advgen.text.omp import SklearnOmp, Solver, SparseCodes, make_solver
from advgen.text.pools import TextPool, load_pool, read_pool_file

__all__ = [
    "ATOM_TREATMENTS",
    "EncodedPool",
    "SklearnOmp",
    "Solver",
    "SparseCodes",
    "TextPool",
    "decompose",
    "encode_pool",
    "load_pool",
    "make_atoms",
    "make_solver",
    "read_pool_file",
    "signed_words",
]
