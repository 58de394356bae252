"""The second-order segmenter: where the neurons that speak for a class are active.

Source: arXiv 2406.04341, Sec. 5.3: of the neurons of layers 8-10 of ViT-B-32 the 200 with the
largest |<r_n, M_text(c)>|, their post-GELU maps over the patches averaged. `maps="effect"` follows
the theory a step further: the effect of Eq. 5 is a sum over tokens, so that its inner product with
the class has an exact share for every patch,

    e_n,i(I) = p_n,i(I) * sum over l' > l, h of  a_i^{l',h} / (sigma_i sigma_post) <U[n,(l',h)], c>

and the map is the sum of e_n,i over the chosen neurons instead of the mean of p_n,i. Taking a
neuron's mean activation off, over an image or over D, would shift its map by a constant and change
nothing after scaling; an empty image (`baseline`) differs from patch to patch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor

from advgen.errors import ConfigError
from advgen.evaluate.segmentation.methods.dense import ClassDirection, PatchMethod
from advgen.evaluate.segmentation.protocol import SegmenterInputs
from advgen.lens.token_shares import later_blocks, neuron_strengths
from advgen.mining import alignments
from advgen.models.vision import Capture

Choice = Literal["magnitude", "positive", "variance"]
Weights = Literal["none", "alignment", "variance", "both"]
Maps = Literal["activation", "effect"]
Rectify = Literal["none", "positive", "magnitude"]
Scale = Literal["none", "deviation"]
Baseline = Literal["none", "empty"]

_LAST = 3
_SETS = {
    "choice": Choice,
    "weights": Weights,
    "maps": Maps,
    "rectify": Rectify,
    "scale": Scale,
    "baseline": Baseline,
}


class SecondOrder(PatchMethod):
    """Mean activation map of the neurons that matter to the class; any pooling.

    The defaults are the paper's; every other value of an option is ours.

    Args:
        inputs: See `SegmenterInputs`.
        layers: MLP layers to choose from; the last three that have a later attention layer by
            default (L-4 to L-2: 8, 9 and 10 of ViT-B-32).
        neurons: How many are chosen over all layers; all of them where there are fewer.
        choice: Choose by |<r_n, c>|, by signed <r_n, c>, or by |<r_n, c>| times the share of
            variance that r_n explains.
        signed: Turn the map of a neuron whose <r_n, c> is negative around.
        weights: Weight maps by |<r_n, c>|, by the share of variance that r_n explains, or by both.
        maps: Activations, or each patch's exact share of <phi_n(I), c>; the latter has its sign and
            weight in it.
        rectify: Keep the positive part, or the magnitude, of every neuron's map.
        scale: Divide every neuron's map by its standard deviation over the image.
        baseline: Take off what the neuron does at the same patch of an image of zeros (the mean
            colour).
        contrast: Names of other classes: c minus their mean takes the place of c.

    Raises:
        ConfigError: If an option is none of its values, a layer has no later attention layer, or
            `signed` or `weights` is asked for with effect maps.
        ModelError: If the model's vision tower cannot be read.
    """

    def __init__(
        self,
        inputs: SegmenterInputs,
        *,
        layers: Sequence[int] | None = None,
        neurons: int = 200,
        choice: Choice = "magnitude",
        signed: bool = False,
        weights: Weights = "none",
        maps: Maps = "activation",
        rectify: Rectify = "none",
        scale: Scale = "none",
        baseline: Baseline = "none",
        contrast: Sequence[str] = (),
    ) -> None:
        given = (choice, weights, maps, rectify, scale, baseline)
        for (name, values), value in zip(_SETS.items(), given, strict=True):
            _check(name, value, get_args(values))
        if neurons < 1:
            raise ConfigError(f"second-order: neurons must be at least 1; got {neurons}")
        if maps == "effect" and (signed or weights != "none"):
            raise ConfigError(
                "second-order: effect maps have their sign and weight in them; leave out signed"
                " and weights, or choose activation maps"
            )
        self._vision = inputs.clip.vision
        self.layers = _layers(layers, self._vision.layers)
        self._inputs, self._neurons = inputs, neurons
        self._choice, self._signed, self._weights, self._maps = choice, signed, weights, maps
        self._rectify, self._scale, self._baseline = rectify, scale, baseline
        self._direction = ClassDirection(inputs, contrast)
        directions = inputs.directions(self.layers)
        self._rows = torch.cat([directions[layer].direction for layer in self.layers])
        explained = torch.cat([directions[layer].explained_variance for layer in self.layers])
        self._explained = explained.to(self._vision.device, self._vision.working_dtype)

    @torch.no_grad()
    def patches(self, pixels: Tensor, classes: Tensor) -> Tensor:
        """See `PatchMethod.patches`."""
        wanted, numbers = classes.to(self._vision.device).unique(dim=0, return_inverse=True)
        wanted = self._direction(wanted)
        alignment = self._alignments(wanted)
        chosen = self._chosen(alignment)
        effect = self._maps == "effect"
        readers = later_blocks(self._vision, self.layers) if effect else ()
        capture = self._vision.capture(pixels, activations=self.layers, norms=readers)
        maps = self._activations(capture, chosen[numbers])
        if self._baseline == "empty":
            empty = self._vision.capture(torch.zeros_like(pixels[:1]), activations=self.layers)
            maps = maps - self._activations(empty, chosen[numbers])
        if effect:
            found = dict(neuron_strengths(self._vision, capture, wanted[numbers], self.layers))
            maps = maps * self._picked(found, chosen[numbers])
        factor = self._factors(alignment.gather(1, chosen), self._explained[chosen])[numbers]
        return self._finished(maps, factor)

    def _alignments(self, wanted: Tensor) -> Float[Tensor, "class neuron"]:
        """<r_n, c>, a class at a time: which neurons are chosen must not depend on the others."""
        rows = self._rows.to(wanted)
        return torch.stack([alignments(rows, direction) for direction in wanted])

    def _chosen(self, alignment: Float[Tensor, "class neuron"]) -> Int[Tensor, "class chosen"]:
        key = alignment if self._choice == "positive" else alignment.abs()
        key = key * self._explained if self._choice == "variance" else key
        return key.argsort(dim=1, descending=True, stable=True)[:, : self._neurons]

    def _activations(
        self, capture: Capture, chosen: Int[Tensor, "image chosen"]
    ) -> Float[Tensor, "image patch chosen"]:
        """Post-GELU values of every image's neurons at its patches."""
        return self._picked(capture.activations, chosen).to(self._explained.dtype)

    def _picked(
        self,
        states: Mapping[int, Float[Tensor, "one token neuron"]],
        chosen: Int[Tensor, "image chosen"],
    ) -> Float[Tensor, "image patch chosen"]:
        """What every image's neurons have at its patches; prefix tokens are left out."""
        prefix = self._vision.prefix_tokens
        patches = torch.cat([states[layer][:, prefix:] for layer in self.layers], dim=2)
        index = chosen[:, None].expand(-1, patches.shape[1], -1)
        return patches.expand(len(chosen), -1, -1).gather(2, index)

    def _factors(
        self, alignment: Float[Tensor, "class chosen"], explained: Float[Tensor, "class chosen"]
    ) -> Float[Tensor, "class chosen"]:
        factor = alignment.sign() if self._signed else torch.ones_like(alignment)
        if self._weights in ("alignment", "both"):
            factor = factor * alignment.abs()
        return factor * explained if self._weights in ("variance", "both") else factor

    def _finished(
        self, maps: Float[Tensor, "image patch chosen"], factor: Float[Tensor, "image chosen"]
    ) -> Float[Tensor, "image patch"]:
        if self._rectify == "positive":
            maps = maps.clamp(min=0)
        elif self._rectify == "magnitude":
            maps = maps.abs()
        if self._scale == "deviation":
            deviation = maps.std(dim=1, keepdim=True, correction=0)
            maps = torch.where(deviation > 0, maps / deviation.clamp_min(1e-30), 0.0)
        maps = maps * factor[:, None]
        return maps.sum(dim=2) if self._maps == "effect" else maps.mean(dim=2)


def _check(name: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise ConfigError(f"second-order: {name} must be one of {', '.join(known)}; got {value!r}")


def _layers(layers: Sequence[int] | None, count: int) -> tuple[int, ...]:
    last = count - 2
    wanted = range(max(0, last - _LAST + 1), last + 1) if layers is None else layers
    chosen = tuple(sorted(set(wanted)))
    if not chosen or not 0 <= chosen[0] <= chosen[-1] <= last:
        raise ConfigError(
            f"second-order: layers must be from 0 to {last}, those with a later attention layer;"
            f" got {list(wanted)}"
        )
    return chosen
