"""`transformers:` names: a CLIP or SigLIP from a repository of the Hub, or from a folder.

Only safetensors are read, and no code of a repository is run: the classes are `hf_config`'s choice,
by the `model_type` of `config.json`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from advgen.errors import ConfigError, ModelError
from advgen.hub import hub_fault, is_folder, pinned_revision
from advgen.models.hf_config import MODEL_CLASSES, model_kind
from advgen.models.hf_files import SETTINGS, SHARDS, WEIGHTS, check_files
from advgen.models.hf_model import HfModel
from advgen.models.hf_text import Tokenize

TRANSFORMERS = "transformers:"
"""Prefix of the names that are read here."""

_TOWERS = ("text_model.", "vision_model.")
_TOLD = 300
_PATIENCE = 10.0


def load_transformers(name: str) -> HfModel:
    """A CLIP or SigLIP of transformers, on the CPU in float32.

    Args:
        name: ``transformers:owner/repository`` (a revision after ``@``), ``transformers:FOLDER``,
            or a folder alone.

    Raises:
        ConfigError: If transformers is not installed, or is too old.
        ModelError: If the files cannot be had, are damaged, of another architecture, do not belong
            together, or hold no safetensors.
    """
    _needed(name)
    source = name.removeprefix(TRANSFORMERS)
    if is_folder(source):
        folder = Path(source).expanduser()
        kind = model_kind(folder)
        check_files(folder, source)
    elif not source or source.startswith((".", "~", "/")):
        raise ModelError(f"there is no model folder '{source}'; correct the path")
    else:
        folder, kind = _fetched(source)
    with _faults_of_files(source), _quiet():
        return _open(folder, kind, name)


def _needed(name: str) -> None:
    """Check for the packages before gigabytes are fetched for nothing."""
    try:
        import transformers
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"'{name}' needs the package '{error.name}': pip install 'advgen[real]'"
        ) from error
    if find_spec("transformers.image_processing_backends") is None:
        raise ConfigError(
            f"'{name}' needs a newer transformers than {transformers.__version__}, which cannot be "
            "told to resize with Pillow: pip install -U transformers"
        )


def _fetched(source: str) -> tuple[Path, str]:
    """Folder and type of a repository at a fixed commit; weights only once the type is known."""
    from huggingface_hub import HfApi, snapshot_download

    repository, commit = source.partition("@")[0], pinned_revision(source)
    with _faults_of_hub(source):
        options: dict[str, Any] = {"revision": commit, "ignore_patterns": "*/*"}
        folder = Path(snapshot_download(repository, allow_patterns=list(SETTINGS), **options))
        kind = model_kind(folder)
        wanted = [*SETTINGS, WEIGHTS, SHARDS]
        snapshot_download(repository, allow_patterns=wanted, **options)
    try:
        check_files(folder, source)
    except ModelError:
        # Without a network a copy that was cut short is returned as if it were whole.
        with _faults_of_hub(source):
            HfApi().model_info(repository, revision=commit, timeout=_PATIENCE)
        raise
    return folder, kind


def _open(folder: Path, kind: str, name: str) -> HfModel:
    import transformers

    model, found = getattr(transformers, MODEL_CLASSES[kind]).from_pretrained(
        folder,
        dtype=torch.float32,
        use_safetensors=True,
        local_files_only=True,
        output_loading_info=True,
        ignore_mismatched_sizes=True,  # they are refused below, with a sentence
    )
    _check_weights(found, name)
    processor = transformers.AutoImageProcessor.from_pretrained(
        folder, backend="pil", trust_remote_code=False, local_files_only=True
    )
    tokenizer = transformers.AutoTokenizer.from_pretrained(
        folder, trust_remote_code=False, local_files_only=True
    )
    loaded = HfModel(model, _Preprocess(processor), Tokenize(tokenizer, model.config), name)
    _check_sizes(loaded, model.config)
    return loaded


def _check_weights(found: dict[str, Any], name: str) -> None:
    """Refuse weights that are not exactly those of the configuration."""
    if mismatched := sorted(found["mismatched_keys"]):
        tensor, there, wanted = mismatched[0]
        raise ModelError(
            f"the weights of '{name}' are of another configuration: {tensor} is {tuple(there)} in "
            f"the file and {tuple(wanted)} by config.json; correct config.json"
        )
    if missing := sorted(found["missing_keys"]):
        raise ModelError(
            f"the weights of '{name}' are not whole: they lack {missing[0]}, one of "
            f"{len(missing)}; download them again"
        )
    # Old checkpoints keep the numbers of their positions, and some a head beside the towers.
    left = [key for key in found["unexpected_keys"] if key.startswith(_TOWERS)]
    if left := sorted(key for key in left if not key.endswith(".position_ids")):
        raise ModelError(
            f"the weights of '{name}' are of another configuration: config.json has no place for "
            f"{left[0]}, one of {len(left)}; correct config.json"
        )


def _check_sizes(loaded: HfModel, config: Any) -> None:
    """Check that all parts fit together, before thousands of images show that they do not."""
    wanted = (3, *loaded.image_size)
    for size in ((97, 61), (61, 97)):
        shape = tuple(loaded.preprocess(Image.new("RGB", size)).shape)
        if shape != wanted:
            raise ModelError(
                f"the image processor of '{loaded.name}' makes {shape}, its tower takes {wanted}; "
                "correct its preprocessor_config.json"
            )
    if config.model_type == "siglip" and config.text_config.projection_size != loaded.embed_dim:
        raise ModelError(
            f"'{loaded.name}' has text embeddings of {config.text_config.projection_size} numbers "
            f"and image embeddings of {loaded.embed_dim}, which cannot be compared; correct its "
            "config.json"
        )


class _Preprocess:
    """A transformers image processor for one image; a class, so that workers can be sent it.

    Pillow resizes, as it did when these models were trained; torchvision's pixels are others.
    """

    def __init__(self, processor: Any) -> None:
        if getattr(processor, "backend", "") != "pil":
            raise ModelError(
                f"its image processor ({type(processor).__name__}) cannot resize with Pillow; "
                "expected CLIPImageProcessor or SiglipImageProcessor in preprocessor_config.json"
            )
        self._processor = processor

    def __call__(self, image: Image.Image) -> Tensor:
        return self._processor(images=image, return_tensors="pt")["pixel_values"][0]


@contextmanager
def _faults_of_hub(source: str) -> Iterator[None]:
    """Say in one line why a repository cannot be had."""
    try:
        yield
    except (ModelError, ConfigError):
        raise
    except Exception as error:  # faults of the network come in many classes
        raise hub_fault(source, error) from error


@contextmanager
def _faults_of_files(source: str) -> Iterator[None]:
    """Say in one line which of the files that are here cannot be read."""
    try:
        yield
    except ConfigError:
        raise
    except Exception as error:  # of its files or of transformers
        told = " ".join(str(error).split())
        if isinstance(error, ModelError) and source in told:
            raise
        if isinstance(error, KeyError):
            told = f"nothing in transformers is called {told}"
        if len(told) > _TOLD:
            told = told[:_TOLD] + "..."
        told = told or type(error).__name__
        raise ModelError(f"cannot load '{source}': {told}") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps transformers from showing bars and tables while it reads weights."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
