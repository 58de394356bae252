"""CLIP and SigLIP as transformers keeps them, behind the `ClipModel` protocol."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from advgen.errors import ModelError
from advgen.models.open_clip_model import state_dict_sha256
from advgen.models.protocol import ClipModel
from advgen.models.vision import VisionTower

_TEXT_BATCH = 256


class UnreadTowerError(ModelError, AttributeError):
    """The lens does not read a tower; also an `AttributeError`, since there is no such part.

    So `isinstance(model, ClipModel)`, which before Python 3.12 looks at every property, gets an
    answer instead of the fault.
    """


class HfModel(ClipModel):
    """A transformers CLIP or SigLIP in memory: the single place for its device and dtype.

    SigLIP's logit bias is left out: it moves all logits alike, and so no margin.

    Args:
        model: `CLIPModel` or `SiglipModel`; put into evaluation mode.
        preprocess: PIL image -> ``[3, height, width]``.
        tokenize: Texts -> what the text tower takes, by argument.
        name: Name for reports.
    """

    def __init__(
        self,
        model: nn.Module,
        preprocess: Callable[[Image.Image], Tensor],
        tokenize: Callable[[list[str]], dict[str, Tensor]],
        name: str = "in-memory",
    ) -> None:
        self._model: Any = model.eval()
        self._preprocess, self._tokenize, self._name = preprocess, tokenize, name

    def __repr__(self) -> str:
        """Name, size and device."""
        return f"HfModel({self._name!r}, embed_dim={self.embed_dim}, device={self.device})"

    @property
    def model(self) -> nn.Module:
        """The wrapped module."""
        return self._model

    @property
    def name(self) -> str:
        """Name under which it was loaded."""
        return self._name

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return self._model.logit_scale.device

    @property
    def dtype(self) -> torch.dtype:
        """Number format of the weights."""
        return self._model.logit_scale.dtype

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of the input, in pixels."""
        size = int(self._model.config.vision_config.image_size)
        return size, size

    @property
    def logit_scale(self) -> float:
        """Factor on the cosine before the softmax, or before SigLIP's sigmoid."""
        return float(self._model.logit_scale.detach().double().exp().squeeze())

    @property
    def embed_dim(self) -> int:
        """Size of the joint image-text space."""
        config = self._model.config
        siglip = config.model_type == "siglip"
        return int(config.vision_config.hidden_size if siglip else config.projection_dim)

    @property
    def weights_sha256(self) -> str:
        """SHA-256 over the state dict; computed at first use (later changes are not seen).

        The same weights under open_clip's names of the tensors have another one.
        """
        return self._weights_sha256

    @property
    def vision(self) -> VisionTower:
        """No view of the tower is to be had.

        Raises:
            UnreadTowerError: Always; the lens reads open_clip's and timm's towers.
        """
        raise UnreadTowerError(
            f"the lens does not read the tower of '{self._name}', which is transformers' own: it "
            "can be evaluated, but not explained or attacked; for that load the same model by "
            "its open_clip name"
        )

    @cached_property
    def _weights_sha256(self) -> str:
        return state_dict_sha256(self._model.state_dict())

    def preprocess(self, image: Image.Image) -> Float[Tensor, "3 height width"]:
        """The repository's own image processor on one image (transparency is dropped)."""
        return self._preprocess(image.convert("RGB"))

    @torch.no_grad()
    def encode_image(
        self, pixels: Float[Tensor, "image 3 height width"], *, normalize: bool = True
    ) -> Float[Tensor, "image embed"]:
        """Embed preprocessed images.

        Args:
            pixels: Normalised pixels as `preprocess` gives them, any device and float dtype.
            normalize: Unit norm.

        Returns:
            Embeddings in float32 (float64 for a float64 model) on the model's device.
        """
        pixels = pixels.to(self.device, self.dtype)
        features = _pooled(self._model.get_image_features(pixel_values=pixels))
        return F.normalize(features, dim=-1) if normalize else features

    @torch.no_grad()
    def encode_text(
        self, texts: Sequence[str], *, batch_size: int = _TEXT_BATCH
    ) -> Float[Tensor, "text embed"]:
        """Embed texts, unit norm, `batch_size` at a time; longer ones are cut at the context.

        Raises:
            ValueError: If given one string instead of a list, or an empty list.
        """
        if isinstance(texts, str) or not texts:
            raise ValueError(f"texts must be a non-empty list of strings; got {texts!r}")
        parts = []
        for start in range(0, len(texts), batch_size):
            tokens = self._tokenize(list(texts[start : start + batch_size]))
            inputs = {name: tensor.to(self.device) for name, tensor in tokens.items()}
            parts.append(_pooled(self._model.get_text_features(**inputs)))
        return F.normalize(torch.cat(parts), dim=-1)


def _pooled(found: Any) -> Tensor:
    """The features, which some versions of transformers give inside a record."""
    features = found if isinstance(found, Tensor) else found.pooler_output
    return features if features.dtype == torch.float64 else features.float()
