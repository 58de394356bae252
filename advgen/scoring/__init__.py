"""Scores of single images, and rates over many."""

from advgen.scoring.metrics import Rate, pool, success_rate, wilson_interval
from advgen.scoring.zero_shot import PairScores, class_embeddings, score_pair

__all__ = [
    "PairScores",
    "Rate",
    "class_embeddings",
    "pool",
    "score_pair",
    "success_rate",
    "wilson_interval",
]
