"""How neurons of a CLIP's vision tower act on the image embedding: pure tensor maths."""

from advgen.lens.ablation import ablated_representations, classification_accuracy
from advgen.lens.cache import directions_cached
from advgen.lens.directions import NeuronDirections, principal_directions
from advgen.lens.first_order import first_order_effects
from advgen.lens.second_order import CollectedEffects, SecondOrderLens

__all__ = [
    "CollectedEffects",
    "NeuronDirections",
    "SecondOrderLens",
    "ablated_representations",
    "classification_accuracy",
    "directions_cached",
    "first_order_effects",
    "principal_directions",
]
