"""The attack from end to end: evidence, words, sentences, images, scores, records, report."""

from advgen.attack.progress import Progress, Silent
from advgen.attack.results import CellResult, pooled, results_of
from advgen.attack.run import Outcome, mine, run_attack

__all__ = [
    "CellResult",
    "Outcome",
    "Progress",
    "Silent",
    "mine",
    "pooled",
    "results_of",
    "run_attack",
]
