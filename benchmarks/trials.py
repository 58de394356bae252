"""Attacks in memory, for benchmarks that try many settings: the same rooms, no run directory."""

from __future__ import annotations

from dataclasses import replace

import torch

from advgen import registry
from advgen.attack import Silent
from advgen.attack.evidence import gather_evidence, target_filter
from advgen.attack.opening import open_model
from advgen.attack.words import mine_words, pair_classes
from advgen.config import AttackConfig
from advgen.generation import DrawRequest
from advgen.generation.describe import choose_descriptions
from advgen.generation.layout import Cell
from advgen.mining import Evidence
from advgen.models import ClipModel
from advgen.scoring import Rate, score_pair
from advgen.seeds import derive_seed
from advgen.store import ArtifactStore, default_store_root


class Bench:
    """A model and its directions, opened once for many trials.

    Args:
        config: Names the model, the image set, the pool and all layers that trials may choose from.
    """

    def __init__(self, config: AttackConfig) -> None:
        self.config = config
        self.clip: ClipModel = open_model(config)
        store = ArtifactStore(default_store_root())
        self.evidence: Evidence = gather_evidence(config, self.clip, store, Silent())

    def evidence_for(self, config: AttackConfig) -> Evidence:
        """The evidence as another config would gather it (layers, words per neuron, neurons)."""
        return replace(
            self.evidence.of_layers(config.lens.layers),
            nonzeros=config.text.nonzeros,
            atoms=config.text.atoms,
            count=config.mining.neurons,
            choice=config.mining.choice,
            score=config.mining.score,
        )

    def trial(self, config: AttackConfig, cell: Cell) -> Rate:
        """Mine, describe, draw, judge and score one cell."""
        words = target_filter(config)
        true, target = pair_classes(config, self.clip)[cell.pair]
        evidence = self.evidence_for(config)
        mined = mine_words(evidence, cell, target - true, words, config)
        chosen, _ = choose_descriptions(
            registry.resolve("describer", config.describe.describer)(),
            cell.pair,
            tuple(word.word for word in mined.kept),
            config.describe,
            target_synonyms=words.synonyms.get(cell.pair.target_class, ()),
            seed=derive_seed(config.seed, "sentences", cell.slug),
        )
        synthesizer = registry.resolve("synthesizer", config.draw.synthesizer)(
            **config.draw.options
        )
        judge = registry.resolve("judge", config.judge)()
        per_sentence = config.images // len(chosen)
        requests = [
            DrawRequest(
                sentence.text,
                cell.pair.true_class,
                derive_seed(config.seed, cell.slug, sentence.id, number),
                config.draw.size,
            )
            for sentence in chosen
            for number in range(per_sentence)
        ]
        drawn = synthesizer.draw(requests)
        verified = [judge.judge(d.image, d.truth, cell.pair).verified for d in drawn]
        pixels = torch.stack([self.clip.preprocess(d.image) for d in drawn])
        scores = score_pair(
            self.clip.encode_image(pixels), torch.stack([true, target]), self.clip.logit_scale
        )
        pairs = list(zip(scores, verified, strict=True))
        return Rate(
            images=len(pairs),
            fooled=sum(score.fooled for score, _ in pairs),
            verified=sum(verified),
            fooled_verified=sum(score.fooled and good for score, good in pairs),
        )
