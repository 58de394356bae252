"""What the rest of the package needs from a CLIP."""

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from PIL.Image import Image
from torch import Tensor

from advgen.models.vision import VisionTower


@runtime_checkable
class ClipModel(Protocol):
    """An image-text model whose vision tower can be read.

    Embeddings are float32 (float64 for a float64 model), without autograd history.
    """

    @property
    def name(self) -> str:
        """Name under which it was loaded, e.g. ``"ViT-B-32-quickgelu/openai"``."""
        ...

    @property
    def weights_sha256(self) -> str:
        """Hash of every weight: equal for equal models however they were loaded."""
        ...

    @property
    def embed_dim(self) -> int:
        """Size of the joint image-text space."""
        ...

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of the input, in pixels."""
        ...

    @property
    def logit_scale(self) -> float:
        """Factor on the cosine before the softmax (100 for most trained models)."""
        ...

    @property
    def device(self) -> torch.device:
        """Device of the weights; inputs are moved there."""
        ...

    @property
    def vision(self) -> VisionTower:
        """Weights view and capture of the vision tower.

        Raises:
            ModelError: If the tower is of a kind that the lens does not read.
        """
        ...

    def preprocess(self, image: Image) -> Float[Tensor, "3 height width"]:
        """Resize, crop and normalise one image of any size and mode."""
        ...

    def encode_image(
        self, pixels: Float[Tensor, "image 3 height width"], *, normalize: bool = True
    ) -> Float[Tensor, "image embed"]:
        """Embed preprocessed images; unit norm unless `normalize` is False."""
        ...

    def encode_text(self, texts: list[str]) -> Float[Tensor, "text embed"]:
        """Embed texts, unit norm."""
        ...
