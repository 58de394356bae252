"""Spurious words for a pair of classes, with what was dropped and why."""

from advgen.mining.methods import USES_NEURONS, Evidence, Method
from advgen.mining.scores import alignments, rank_words, strongest, word_scores
from advgen.mining.synonyms import TargetFilter, keep_words, read_block_list

__all__ = [
    "USES_NEURONS",
    "Evidence",
    "Method",
    "TargetFilter",
    "alignments",
    "keep_words",
    "rank_words",
    "read_block_list",
    "strongest",
    "word_scores",
]
