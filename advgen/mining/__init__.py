"""Spurious words for a pair of classes, with what was dropped and why."""

from advgen.mining.encoders import LetterEncoder, SentenceEncoder, TextEncoder, open_encoder
from advgen.mining.evidence import Evidence
from advgen.mining.methods import USES_CHANCE, USES_INDIRECT, USES_NEURONS, Method
from advgen.mining.scores import (
    alignments,
    code_terms,
    projection_terms,
    rank_words,
    strongest,
)
from advgen.mining.sizes import mean_sizes
from advgen.mining.synonyms import (
    TargetFilter,
    joined_block_lists,
    keep_words,
    packaged_block_list,
    parse_block_list,
    read_block_list,
)

__all__ = [
    "USES_CHANCE",
    "USES_INDIRECT",
    "USES_NEURONS",
    "Evidence",
    "LetterEncoder",
    "Method",
    "SentenceEncoder",
    "TargetFilter",
    "TextEncoder",
    "alignments",
    "code_terms",
    "joined_block_lists",
    "keep_words",
    "mean_sizes",
    "open_encoder",
    "packaged_block_list",
    "parse_block_list",
    "projection_terms",
    "rank_words",
    "read_block_list",
    "strongest",
]
