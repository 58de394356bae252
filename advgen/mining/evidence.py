"""What is known of the attacked model before words are mined, and how it becomes words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from jaxtyping import Float
from torch import Tensor

from advgen.config import Choice, WordScore
from advgen.mining.scores import alignments, code_terms, projection_terms, rank_words, strongest
from advgen.records import ClassPair, MinedWord, Neuron
from advgen.text import EncodedPool, Solver, decompose, make_atoms


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """Neurons with their directions, and the words that these are written in.

    Attributes:
        neurons: The neurons of the chosen layers.
        directions: Float [neuron, embed], unit norm, in the order of `neurons`.
        encoded: The text pool in the joint space.
        solver: Finds sparse codes.
        nonzeros: Words per neuron (m).
        atoms: Treatment of the pool's embeddings.
        count: How many neurons are chosen.
        choice: By what they are chosen, see `choose`.
        score: Of a word, see `terms`.
        explained: Share of the variance of a neuron's largest effects along its direction, in
            [0, 1]; for the choice `variance`.
        sizes: By true class, mean over its images of |x_n(I)|, the coordinate of a neuron's effect
            on its direction, in the units of the image embedding; for the score `activation`.
        indirect: The same with directions of indirect effects, for the method `indirect`.
    """

    neurons: Sequence[Neuron]
    directions: Float[Tensor, "neuron embed"]
    encoded: EncodedPool
    solver: Solver
    nonzeros: int
    atoms: str
    count: int
    choice: Choice = "magnitude"
    score: WordScore = "codes"
    explained: Float[Tensor, " neuron"] | None = None
    sizes: Mapping[str, Float[Tensor, " neuron"]] = field(default_factory=dict)
    indirect: Evidence | None = None

    def choose(self, contrast: Float[Tensor, " embed"]) -> list[int]:
        """Positions of the neurons that speak most for a contrast v, the strongest first.

        With a_n = <v, r_n>: `magnitude` takes the largest |a_n| (paper Sec. 5.1); `variance` the
        largest |a_n| times the explained share, since <v, r_n> says little of a neuron whose
        effects hardly lie along r_n; `signed` the largest a_n, and only positive ones, so fewer
        than `count` where fewer are positive. A direction is signed so that most of its neuron's
        largest effects point along it: a neuron of positive a_n moves images toward the target
        class when its effect is large, one of negative a_n does so when its effect is small or
        reversed, which something that is put into a scene is less sure to bring about.

        Differs from the paper: `signed` and `variance`.

        Raises:
            ValueError: If the choice is `variance` and the explained shares are not there.
        """
        alignment = alignments(self.directions, contrast)
        if self.choice == "variance":
            if self.explained is None:
                raise ValueError("expected explained shares for the choice 'variance'; got none")
            alignment = alignment * self.explained
        if self.choice == "signed":
            alignment = alignment.clamp_min(0)
            return strongest(alignment, min(self.count, int((alignment > 0).sum()))).tolist()
        return strongest(alignment, self.count).tolist()

    def terms(
        self, chosen: Sequence[int], pair: ClassPair, contrast: Float[Tensor, " embed"]
    ) -> Float[Tensor, "chosen atom"]:
        """What each chosen neuron adds to the score of each word of the pool.

        `codes` are those of Eq. 6, gamma_j^n <v, r_n>. `activation` weighs each neuron with its
        size on images of the true class: what hardly moves there can hardly be made to.
        `projection` is <t_j, r_n> <v, r_n>, which adds up to t_j R^T R v with R the chosen
        directions and t_j the pool's atoms: every word has a score, where OMP gives one to
        `nonzeros` words per neuron only.

        Differs from the paper: `activation` and `projection`.

        Args:
            chosen: Positions of neurons.
            pair: The classes.
            contrast: v.

        Raises:
            ValueError: If the score is `activation` and the true class has no sizes.
        """
        positions = list(chosen)
        directions = self.directions[positions]
        alignment = alignments(directions, contrast)
        if self.score == "projection":
            atoms = make_atoms(self.encoded.embeddings, self.atoms)
            return projection_terms(atoms, directions, alignment)
        codes = decompose(
            directions, self.encoded, self.solver, nonzeros=self.nonzeros, atoms=self.atoms
        )
        terms = code_terms(codes, alignment, len(self.encoded.pool.texts))
        if self.score == "codes":
            return terms
        if pair.true_class not in self.sizes:
            raise ValueError(
                f"expected sizes of effects on '{pair.true_class}'; got {list(self.sizes)}"
            )
        return terms * self.sizes[pair.true_class][positions][:, None].to(terms)

    def words_of(
        self, chosen: Sequence[int], pair: ClassPair, contrast: Float[Tensor, " embed"]
    ) -> list[MinedWord]:
        """Words whose terms add up to a positive score, best first.

        Args:
            chosen: Positions of neurons; none of them gives no word.
            pair: The classes.
            contrast: v.

        Raises:
            ValueError: If the score is `activation` and the true class has no sizes.
        """
        if not chosen:
            return []
        neurons = [self.neurons[position] for position in chosen]
        return rank_words(self.terms(chosen, pair, contrast), neurons, self.encoded.pool.texts)

    def of_layers(self, layers: Sequence[int]) -> Evidence:
        """The evidence of the neurons of some layers alone."""
        kept = [at for at, neuron in enumerate(self.neurons) if neuron.layer in set(layers)]
        return replace(
            self,
            neurons=[self.neurons[at] for at in kept],
            directions=self.directions[kept],
            explained=None if self.explained is None else self.explained[kept],
            sizes={name: size[kept] for name, size in self.sizes.items()},
            indirect=None if self.indirect is None else self.indirect.of_layers(layers),
        )
