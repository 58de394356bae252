"""How well a word's score foretells what the word does when it alone is put into a scene.

    python -m benchmarks.mining_words              # tuning pairs; about three minutes

For every word that the sandbox can draw, scenes of the true class with that one word are drawn and
their mean margin is compared with that of the same scenes without it. Spearman's rank correlation
of these shifts with the words' scores tells how much a ranking knows. Words that name either class
are left out, and so are words that cannot be drawn: they change nothing. Writes mining_words.json
and mining_words.md into benchmarks/results (--out).
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from scipy.stats import spearmanr
from torch import Tensor

from advgen.attack.evidence import target_filter
from advgen.attack.words import pair_classes
from advgen.config import AttackConfig
from advgen.english import with_article
from advgen.generation import DrawRequest
from advgen.mining import Evidence
from advgen.records import ClassPair
from advgen.sandbox.lexicon import load_lexicon
from advgen.sandbox.measure import embed_images
from advgen.sandbox.synthesizer import SandboxSynthesizer
from advgen.seeds import derive_seed
from advgen.store import canonical_json, write_atomic
from benchmarks.mining import CHOICES, RESULTS, SCORES, MiningBench, Variant, base_config

SCENES = 6
VARIANTS = (
    *(Variant("second-order", choice, score) for score in SCORES for choice in CHOICES),
    Variant("random"),
    Variant("random", score="projection"),
    Variant("indirect"),
    Variant("indirect", score="projection"),
    Variant("similar-words"),
)


@dataclass(frozen=True, slots=True)
class Measured:
    """What single words do.

    Attributes:
        numbers: Their places in the pool.
        shifts: Change of the mean margin.
    """

    numbers: list[int]
    shifts: list[float]


def measure(bench: MiningBench, config: AttackConfig, pair: ClassPair) -> Measured:
    """Mean margin with each drawable word of the pool, minus that without it."""
    drawable = set(load_lexicon().drawable_words())
    names = target_filter(config)
    texts = bench.evidence.encoded.pool.texts
    numbers = [
        number
        for number, text in enumerate(texts)
        if text in drawable
        and names.reason(text, pair.target_class) is None
        and names.reason(text, pair.true_class) is None
    ]
    subject = with_article(pair.true_class)
    prompts = [subject, *(f"{subject} and {with_article(texts[number])}" for number in numbers)]
    synthesizer = SandboxSynthesizer()
    drawn = synthesizer.draw(
        [
            DrawRequest(prompt, pair.true_class, derive_seed("word", pair, scene), config.draw.size)
            for prompt in prompts
            for scene in range(SCENES)
        ]
    )
    embeddings = embed_images(bench.clip, (result.image for result in drawn))
    true, target = pair_classes(config, bench.clip)[pair]
    margins = (embeddings @ (target - true)).unflatten(0, (len(prompts), SCENES)).mean(dim=1)
    return Measured(numbers, (margins[1:] - margins[0]).tolist())


def scores_of(
    evidence: Evidence, variant: Variant, pair: ClassPair, contrast: Float[Tensor, " embed"]
) -> Float[Tensor, " atom"]:
    """The score of every word of the pool, also where it is not positive."""
    if variant.method == "similar-words":
        return evidence.encoded.embeddings @ contrast
    if variant.method == "indirect":
        assert evidence.indirect is not None
        evidence = evidence.indirect
    chosen = evidence.choose(contrast)
    if variant.method == "random":
        generator = torch.Generator().manual_seed(derive_seed("random", pair))
        chosen = torch.randperm(len(evidence.neurons), generator=generator)[: evidence.count]
        chosen = chosen.tolist()
    return evidence.terms(chosen, pair, contrast).sum(dim=0)


def rank_correlation(first: list[float], second: list[float]) -> float:
    """Spearman's, ties sharing their mean rank; NaN where one side is constant."""
    found: Any = spearmanr(first, second)
    return float(found.statistic)


def main() -> None:
    """Measure the words, print and keep the correlations."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    base = base_config("tuning")
    bench = MiningBench(base)
    classes = pair_classes(base, bench.clip)
    measured = {pair: measure(bench, base, pair) for pair in base.pairs}
    pairs = [str(pair) for pair in base.pairs]
    lines = [f"| variant | {' | '.join(pairs)} | mean |", "|---" * (len(pairs) + 2) + "|"]
    rows: dict[str, dict[str, float]] = {}
    for variant in VARIANTS:
        mining = replace(base.mining, choice=variant.choice, score=variant.score)
        evidence = bench.evidence_for(replace(base, mining=mining))
        row = {}
        for pair, words in measured.items():
            true, target = classes[pair]
            scores = scores_of(evidence, variant, pair, target - true)[words.numbers]
            row[str(pair)] = rank_correlation(scores.tolist(), words.shifts)
        rows[str(variant)] = row
        cells = [*row.values(), sum(row.values()) / len(row)]
        lines.append(f"| {variant} | {' | '.join(f'{value:.2f}' for value in cells)} |")
    head = (
        f"Spearman correlation of a word's score with the shift of the margin that it causes "
        f"alone, {bench.clip.name}, {SCENES} scenes per word, "
        f"{min(len(words.numbers) for words in measured.values())} words or more."
    )
    text = "\n".join([head, "", *lines])
    print(text)
    result = {
        "made_with": {"weights_sha256": bench.clip.weights_sha256, "scenes": SCENES},
        "words": {str(pair): len(words.numbers) for pair, words in measured.items()},
        "spearman": {
            name: {pair: round(value, 6) for pair, value in row.items()}
            for name, row in rows.items()
        },
    }
    write_atomic(options.out / "mining_words.json", canonical_json(result, indent=1) + "\n")
    write_atomic(options.out / "mining_words.md", text + "\n")


if __name__ == "__main__":
    main()
