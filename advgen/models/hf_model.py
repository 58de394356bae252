"""CLIP and SigLIP as transformers keeps them, behind the `ClipModel` protocol.

Only safetensors are read, and no code of a repository is run: the classes are this file's choice,
by the `model_type` of `config.json`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from advgen.errors import ConfigError, ModelError
from advgen.hub import hub_fault, is_folder, pinned_revision
from advgen.models.open_clip_model import state_dict_sha256
from advgen.models.protocol import ClipModel
from advgen.models.vision import VisionTower

TRANSFORMERS = "transformers:"
"""Prefix of the names that are read here."""
MODEL_CLASSES = {"clip": "CLIPModel", "siglip": "SiglipModel"}
"""`model_type` -> class in transformers. SigLIP 2 of one resolution is a `siglip` there."""

_SETTINGS = ["*.json", "*.txt", "*.model"]
_WEIGHTS = ["model.safetensors", "model-*.safetensors"]
_TOKENIZERS = ("tokenizer.json", "vocab.json", "spiece.model", "tokenizer.model")
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
        return int(getattr(config, "projection_dim", None) or config.vision_config.hidden_size)

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


def load_transformers(name: str) -> HfModel:
    """A CLIP or SigLIP of transformers, on the CPU in float32.

    Args:
        name: ``transformers:owner/repository`` (a revision after ``@``), ``transformers:FOLDER``,
            or a folder alone.

    Raises:
        ConfigError: If transformers is not installed.
        ModelError: If the files cannot be had, are damaged, of another architecture, or hold no
            safetensors.
    """
    source = name.removeprefix(TRANSFORMERS)
    if is_folder(source):
        folder = Path(source).expanduser()
        kind = model_kind(folder)
    elif not source or source.startswith((".", "~", "/")):
        raise ModelError(f"there is no model folder '{source}'; correct the path")
    else:
        folder, kind = _fetched(source)
    if not any(any(folder.glob(pattern)) for pattern in _WEIGHTS):
        raise ModelError(
            f"'{source}' has no model.safetensors, and pickled weights (.bin, .pt) are never "
            "read; ask its owner for safetensors, or convert it (save_pretrained)"
        )
    if not any((folder / file).is_file() for file in _TOKENIZERS):
        raise ModelError(
            f"'{source}' has no tokenizer; expected one of {', '.join(_TOKENIZERS)} beside its "
            "weights"
        )
    with _faults_of(source), _quiet():
        return _open(folder, kind, name)


def model_kind(folder: Path) -> str:
    """The `model_type` of a folder's `config.json`, one of `MODEL_CLASSES`.

    Raises:
        ModelError: If there is no such file, it is damaged, or says another type.
    """
    path = folder / "config.json"
    try:
        kind = json.loads(path.read_text(encoding="utf-8"))["model_type"]
    except OSError as error:
        raise ModelError(f"{folder} is no transformers model: it holds no config.json") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path} is no configuration of transformers ({error!r})") from error
    if kind == "siglip2":
        raise ModelError(
            f"{path} is a SigLIP 2 for images of any shape (NaFlex), which is not read; take its "
            "fixed-resolution release, such as google/siglip2-base-patch16-224"
        )
    if kind not in MODEL_CLASSES:
        known = ", ".join(MODEL_CLASSES)
        raise ModelError(
            f"{path} is a model of type '{kind}', not an image-text model that can be evaluated "
            f"({known})"
        )
    return str(kind)


def _fetched(source: str) -> tuple[Path, str]:
    """Folder and type of a repository at a fixed commit; weights only once the type is known."""
    from huggingface_hub import snapshot_download

    repository, commit = source.partition("@")[0], pinned_revision(source)
    with _faults_of(source):
        options: dict[str, Any] = {"revision": commit, "ignore_patterns": "*/*"}
        folder = Path(snapshot_download(repository, allow_patterns=_SETTINGS, **options))
        kind = model_kind(folder)
        snapshot_download(repository, allow_patterns=[*_SETTINGS, *_WEIGHTS], **options)
    return folder, kind


def _open(folder: Path, kind: str, name: str) -> HfModel:
    try:
        import transformers
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"'{name}' needs the package '{error.name}': pip install 'advgen[real]'"
        ) from error
    model, found = getattr(transformers, MODEL_CLASSES[kind]).from_pretrained(
        folder,
        dtype=torch.float32,
        use_safetensors=True,
        local_files_only=True,
        output_loading_info=True,
    )
    if missing := sorted(found["missing_keys"]):
        raise ModelError(
            f"the weights of '{name}' are not whole: they lack {missing[0]}, one of "
            f"{len(missing)}; download them again"
        )
    processor = transformers.AutoImageProcessor.from_pretrained(
        folder, backend="pil", trust_remote_code=False, local_files_only=True
    )
    tokenizer = transformers.AutoTokenizer.from_pretrained(
        folder, trust_remote_code=False, local_files_only=True
    )
    loaded = HfModel(model, _Preprocess(processor), _Tokenize(tokenizer, model.config), name)
    _fits(loaded)
    return loaded


def _fits(loaded: HfModel) -> None:
    """Check that the processor makes what the tower takes, before thousands of images do."""
    shape = tuple(loaded.preprocess(Image.new("RGB", (97, 61))).shape)
    if shape != (3, *loaded.image_size):
        raise ModelError(
            f"the image processor of '{loaded.name}' makes {shape}, its tower takes "
            f"{(3, *loaded.image_size)}; correct its preprocessor_config.json"
        )


class _Preprocess:
    """A transformers image processor for one image; a class, so that workers can be sent it."""

    def __init__(self, processor: Any) -> None:
        self._processor = processor

    def __call__(self, image: Image.Image) -> Tensor:
        return self._processor(images=image, return_tensors="pt")["pixel_values"][0]


class _Tokenize:
    """Texts as the tower was trained on them.

    CLIP takes them as long as they are, up to its context, and reads its end token. SigLIP (and 2)
    takes all as long as the context, padded on the right and without a mask, and reads the last
    place; SigLIP 2 was trained on lower case, which the Gemma tokenizer of its repositories leaves
    to the caller.
    """

    def __init__(self, tokenizer: Any, config: Any) -> None:
        self._tokenizer = tokenizer
        self._context = int(config.text_config.max_position_embeddings)
        self._siglip = config.model_type == "siglip"
        self._lower = self._siglip and type(tokenizer).__name__ != "SiglipTokenizer"

    def __call__(self, texts: list[str]) -> dict[str, Tensor]:
        found = self._tokenizer(
            [text.lower() for text in texts] if self._lower else texts,
            padding="max_length" if self._siglip else True,
            padding_side="right",
            truncation=True,
            max_length=self._context,
            return_tensors="pt",
        )
        wanted = ("input_ids",) if self._siglip else ("input_ids", "attention_mask")
        return {name: found[name] for name in wanted}


def _pooled(found: Any) -> Tensor:
    """The features, which some versions of transformers give inside a record."""
    features = found if isinstance(found, Tensor) else found.pooler_output
    return features if features.dtype == torch.float64 else features.float()


@contextmanager
def _faults_of(source: str) -> Iterator[None]:
    """Say in one line why a model could not be loaded."""
    try:
        yield
    except (ModelError, ConfigError):
        raise
    except Exception as error:  # of its files, of transformers, or of the Hub
        raise hub_fault(source, error) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps transformers from showing bars and tables while it reads weights."""
    try:
        from transformers.utils import logging
    except ModuleNotFoundError:
        yield
        return
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
