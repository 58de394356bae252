"""How neurons of a CLIP's vision tower act on the image embedding: pure tensor maths."""

from advgen.lens.ablation import (
    LayerSums,
    ablated_representations,
    classification_accuracy,
    layer_sums,
    projections,
)
from advgen.lens.cache import directions_cached
from advgen.lens.collection import Budget, Collection, collect_images
from advgen.lens.directions import NeuronDirections, principal_directions
from advgen.lens.first_order import attention_effects, first_order_effects, head_effects
from advgen.lens.indirect import (
    ablated_layer,
    indirect_directions,
    indirect_effects,
    mean_activations,
)
from advgen.lens.second_order import CollectedEffects, SecondOrderLens
from advgen.lens.two_pass import two_pass_directions

__all__ = [
    "Budget",
    "CollectedEffects",
    "Collection",
    "LayerSums",
    "NeuronDirections",
    "SecondOrderLens",
    "ablated_layer",
    "ablated_representations",
    "attention_effects",
    "classification_accuracy",
    "collect_images",
    "directions_cached",
    "first_order_effects",
    "head_effects",
    "indirect_directions",
    "indirect_effects",
    "layer_sums",
    "mean_activations",
    "principal_directions",
    "projections",
    "two_pass_directions",
]
