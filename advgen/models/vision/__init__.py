"""Vision transformers as the lens reads them: weights by role, inner states of a pass, pooling."""

from advgen.models.vision.kinds import vision_tower
from advgen.models.vision.pooling import Pooling
from advgen.models.vision.tower import VisionTower
from advgen.models.vision.weights import BlockWeights, Capture, NormWeights

__all__ = [
    "BlockWeights",
    "Capture",
    "NormWeights",
    "Pooling",
    "VisionTower",
    "vision_tower",
]
