"""Any open_clip model behind the `ClipModel` protocol."""

import hashlib
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import open_clip
import torch
from jaxtyping import Float
from open_clip.modified_resnet import ModifiedResNet
from open_clip.transform import PreprocessCfg, image_transform_v2
from open_clip.transformer import VisionTransformer
from PIL.Image import Image
from torch import Tensor, nn
from torch.nn import functional as F

from advgen.errors import ModelError
from advgen.models.vision import VisionTower, vision_tower

_TEXT_BATCH = 256


class OpenClipModel:
    """An in-memory open_clip model: the single place for its device, dtype and autograd.

    Args:
        model: `open_clip.CLIP` or `CustomTextCLIP`; put into evaluation mode.
        preprocess: PIL image -> ``[3, height, width]``; by default open_clip's evaluation
            transform with the model's own size, mean and std (OpenAI's where it has none).
        tokenizer: Texts -> token ids ``[text, context]``; CLIP's byte-pair tokenizer by default.
        name: Name for reports.
    """

    def __init__(
        self,
        model: nn.Module,
        preprocess: Callable[[Image], Tensor] | None = None,
        tokenizer: Callable[..., Tensor] | None = None,
        name: str = "in-memory",
    ) -> None:
        self._model: Any = model.eval()
        self._preprocess = preprocess or default_preprocess(model)
        self._given_tokenizer = tokenizer
        self._name = name

    def __repr__(self) -> str:
        """Name, size and device."""
        return f"OpenClipModel({self._name!r}, embed_dim={self.embed_dim}, device={self.device})"

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
        """Number format of the vision tower's weights."""
        visual = self._model.visual
        if isinstance(visual, VisionTransformer | ModifiedResNet):
            return visual.conv1.weight.dtype
        return next(visual.parameters()).dtype

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of the input, in pixels."""
        return _height_width(self._model.visual.image_size)

    @property
    def logit_scale(self) -> float:
        """Factor on the cosine before the softmax."""
        return float(self._model.logit_scale.detach().double().exp())

    @property
    def embed_dim(self) -> int:
        """Size of the joint image-text space."""
        return self._embed_dim

    @property
    def weights_sha256(self) -> str:
        """SHA-256 over the state dict; computed at first use (later changes are not seen)."""
        return self._weights_sha256

    @property
    def vision(self) -> VisionTower:
        """Weights view and capture of the vision tower.

        Raises:
            ModelError: If the tower is of a kind that the lens does not read.
        """
        return self._vision

    @cached_property
    def _embed_dim(self) -> int:
        visual = self._model.visual
        if isinstance(visual, VisionTransformer | ModifiedResNet):
            return int(visual.output_dim)
        tokens = torch.ones(1, self._model.context_length, dtype=torch.long, device=self.device)
        with torch.no_grad():
            return self._model.encode_text(tokens).shape[-1]

    @cached_property
    def _weights_sha256(self) -> str:
        return state_dict_sha256(self._model.state_dict())

    @cached_property
    def _tokenizer(self) -> Callable[..., Tensor]:
        return self._given_tokenizer or default_tokenizer(self._model)

    @cached_property
    def _vision(self) -> VisionTower:
        return vision_tower(self._model.visual)

    def preprocess(self, image: Image) -> Float[Tensor, "3 height width"]:
        """Resize, crop and normalise one image of any size and mode (transparency is dropped)."""
        return self._preprocess(image.convert("RGB"))

    @torch.no_grad()
    def encode_image(
        self, pixels: Float[Tensor, "image 3 height width"], *, normalize: bool = True
    ) -> Float[Tensor, "image embed"]:
        """Embed preprocessed images.

        Args:
            pixels: Normalised pixels as `preprocess` gives them, any device and float dtype.
            normalize: Unit norm; False gives the representation M_image(I) that effects add up to.

        Returns:
            Embeddings in float32 (float64 for a float64 model) on the model's device.
        """
        features = self._model.encode_image(pixels.to(self.device, self.dtype), normalize=False)
        if isinstance(features, tuple):  # a tower that returns its tokens as well
            features = features[0]
        features = _wide(features)
        return F.normalize(features, dim=-1) if normalize else features

    @torch.no_grad()
    def encode_text(
        self, texts: Sequence[str], *, batch_size: int = _TEXT_BATCH
    ) -> Float[Tensor, "text embed"]:
        """Embed texts, unit norm, `batch_size` at a time; longer ones are cut at the context.

        Raises:
            ValueError: If given one string instead of a list, or an empty list.
            ModelError: If no tokenizer was given and CLIP's own does not fit the vocabulary.
        """
        if isinstance(texts, str) or not texts:
            raise ValueError(f"texts must be a non-empty list of strings; got {texts!r}")
        parts = []
        for start in range(0, len(texts), batch_size):
            tokens = self._tokenizer(list(texts[start : start + batch_size])).to(self.device)
            parts.append(_wide(self._model.encode_text(tokens)))
        return F.normalize(torch.cat(parts), dim=-1)


def state_dict_sha256(state: dict[str, Tensor]) -> str:
    """SHA-256 over name, dtype, shape and bytes of every tensor, in sorted name order."""
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def default_preprocess(model: nn.Module) -> Callable[[Image], Tensor]:
    """open_clip's evaluation transform for a model, from what the model itself says."""
    visual: Any = model.visual
    attached = vars(visual).get("preprocess_cfg")  # set by open_clip.create_model only
    settings = {"size": visual.image_size} if attached is None else dict(attached)
    transform: Any = image_transform_v2(PreprocessCfg(**settings), is_train=False)
    return transform


def default_tokenizer(model: nn.Module) -> Callable[..., Tensor]:
    """CLIP's byte-pair tokenizer at the model's context length.

    Raises:
        ModelError: If its vocabulary is larger than the model's embedding table.
    """
    text: Any = model
    tokenizer = open_clip.SimpleTokenizer(context_length=text.context_length)
    if tokenizer.vocab_size > text.vocab_size:
        raise ModelError(
            f"this model knows {text.vocab_size} tokens, CLIP's own tokenizer makes "
            f"{tokenizer.vocab_size}: pass the model's tokenizer to OpenClipModel(tokenizer=...)"
        )
    return tokenizer


def _wide(features: Tensor) -> Tensor:
    return features if features.dtype == torch.float64 else features.float()


def _height_width(size: int | Sequence[int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))
