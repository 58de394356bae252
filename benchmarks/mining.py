"""Ways of choosing neurons and of scoring words, by how often their words fool a sandbox CLIP.

    python -m benchmarks.mining                    # tuning pairs, every variant: eight minutes, and
                                                   # five more the first time
    python -m benchmarks.mining --pairs scored     # the paper's pairs: the default, what was CHOSEN
                                                   # on the tuning pairs, and the baselines

Writes mining_tuning.json / .md or mining_scored.json / .md into benchmarks/results (--out). Trials
that are in the JSON already are not repeated, so an interrupted call goes on where it stopped. The
rate is that of verified images with a 95 % Wilson interval, pooled over pairs and repeats; ten
images share a sentence, so the intervals are narrower than a new draw of sentences would bear out.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import get_args

from advgen.attack import Silent
from advgen.attack.directions import neuron_directions
from advgen.attack.evidence import class_sizes
from advgen.config import (
    METHODS,
    AttackConfig,
    Choice,
    WordScore,
    attack_config,
    attack_table,
    read_preset,
)
from advgen.generation.layout import Cell
from advgen.mining import Evidence
from advgen.sandbox.measure import PAPER_PAIRS
from advgen.scoring import Rate, pool
from advgen.store import ArtifactStore, canonical_json, default_store_root, write_atomic
from benchmarks.sandbox_tuning import TUNING_PAIRS
from benchmarks.trials import Bench

RESULTS = Path(__file__).parent / "results"
ACTIVATION_IMAGES = "sandbox:6000?seed=7"
REPEATS, IMAGES = 3, 100
CHOICES: tuple[Choice, ...] = get_args(Choice)
SCORES: tuple[WordScore, ...] = get_args(WordScore)


@dataclass(frozen=True, slots=True)
class Variant:
    """A row of the table."""

    method: str
    choice: Choice = "magnitude"
    score: WordScore = "codes"

    def __str__(self) -> str:
        """`method choice score`, without what makes no difference to the method."""
        if self.method in ("similar-words", "random-words"):
            return self.method
        choice = () if self.method == "random" else (self.choice,)
        return " ".join((self.method, *choice, self.score))


DEFAULT = Variant("second-order")
CHOSEN = Variant("second-order", "variance", "projection")
"""What the tuning pairs chose; written down before the paper's pairs were scored."""
REFERENCES = (
    Variant("random"),
    Variant("random", score="projection"),
    Variant("indirect"),
    Variant("indirect", score="projection"),
    Variant("similar-words"),
    Variant("random-words"),
)
ROWS = {
    "tuning": (
        *(Variant("second-order", choice, score) for score in SCORES for choice in CHOICES),
        *REFERENCES,
    ),
    "scored": (DEFAULT, CHOSEN, *REFERENCES),
}


class MiningBench(Bench):
    """A bench whose evidence has all that any variant asks for."""

    def __init__(self, config: AttackConfig) -> None:
        super().__init__(replace(config, methods=METHODS))
        store = ArtifactStore(default_store_root())
        directions = neuron_directions(config.lens, self.clip, store, Silent())
        self.evidence: Evidence = replace(
            self.evidence, sizes=class_sizes(config, self.clip, directions, Silent())
        )

    def evidence_for(self, config: AttackConfig) -> Evidence:
        """The evidence with the config's choice and score."""
        mining = config.mining
        indirect = self.evidence.indirect
        if indirect is not None:
            indirect = replace(indirect, choice=mining.choice, score=mining.score)
        return replace(self.evidence, choice=mining.choice, score=mining.score, indirect=indirect)


class Trials:
    """Counts by variant, pair and repeat, kept in a file."""

    def __init__(self, path: Path, made_with: Mapping[str, object]) -> None:
        self.path = path
        self.document: dict = {"made_with": dict(made_with), "trials": {}}
        if path.is_file():
            kept = json.loads(path.read_text(encoding="utf-8"))
            if canonical_json(kept["made_with"]) == canonical_json(made_with):
                self.document["trials"] = kept["trials"]

    def rate(self, bench: Bench, config: AttackConfig, cell: Cell, variant: Variant) -> Rate:
        """A trial's counts, taken now unless they are kept."""
        rows = self.document["trials"].setdefault(str(variant), {})
        name = f"{cell.pair}/{cell.repeat}"
        if name not in rows:
            rows[name] = asdict(bench.trial(config, cell))
            write_atomic(self.path, canonical_json(self.document, indent=1) + "\n")
        return Rate(**rows[name])


def measure(
    bench: Bench, base: AttackConfig, variants: Iterable[Variant], trials: Trials
) -> list[str]:
    """The table, a line per variant; printed as it grows."""
    pairs = [str(pair) for pair in base.pairs]
    lines = [
        f"| variant | {' | '.join(pairs)} | pooled, verified | 95 % | fooled of all |",
        "|---" * (len(pairs) + 4) + "|",
    ]
    print("\n".join(lines), flush=True)
    for variant in variants:
        mining = replace(base.mining, choice=variant.choice, score=variant.score)
        config = replace(base, mining=mining)
        found = {
            pair: [
                trials.rate(bench, config, Cell(pair, variant.method, repeat), variant)
                for repeat in range(base.repeats)
            ]
            for pair in base.pairs
        }
        total = pool(rate for rates in found.values() for rate in rates)
        cells = [*(_percent(pool(rates)) for rates in found.values()), _percent(total)]
        low, high = total.interval or (0.0, 1.0)
        cells += [f"{100 * low:.1f} to {100 * high:.1f}", f"{total.fooled}/{total.images}"]
        lines.append(f"| {variant} | {' | '.join(cells)} |")
        print(lines[-1], flush=True)
    return lines


def base_config(pairs: str) -> AttackConfig:
    """The sandbox preset on the tuning pairs or the paper's."""
    names = list(TUNING_PAIRS) if pairs == "tuning" else [str(pair) for pair in PAPER_PAIRS]
    config = attack_config(
        {**read_preset("sandbox"), "pairs": names, "images": IMAGES, "repeats": REPEATS}
    )
    return replace(config, mining=replace(config.mining, activation_images=ACTIVATION_IMAGES))


def main() -> None:
    """Run the trials, print and keep the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--pairs", choices=tuple(ROWS), default="tuning")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    base = base_config(options.pairs)
    bench = MiningBench(base)
    made_with = {"weights_sha256": bench.clip.weights_sha256, "config": attack_table(base)}
    trials = Trials(options.out / f"mining_{options.pairs}.json", made_with)
    lines = measure(bench, base, ROWS[options.pairs], trials)
    head = f"Attack success in %, {bench.clip.name}, {REPEATS} repeats of {IMAGES} images per pair."
    text = "\n".join([head, "", *lines])
    write_atomic(options.out / f"mining_{options.pairs}.md", text + "\n")


def _percent(rate: Rate) -> str:
    share = rate.attack_success_rate
    return "-" if share is None else f"{100 * share:.1f}"


if __name__ == "__main__":
    main()
