"""A model's files from the Hugging Face Hub."""

from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from advgen.errors import ModelError

HUB = "hf-hub:"
WEIGHT_FILES = (
    "open_clip_model.safetensors",
    "model.safetensors",
    "open_clip_pytorch_model.safetensors",
    "open_clip_pytorch_model.bin",
)
"""Names under which open_clip models keep their weights, the first one found is read."""


def fetch_repository(name: str) -> Path:
    """The local folder of an open_clip model's repository, fetched once and then taken from cache.

    Args:
        name: ``owner/repository``, with ``@revision`` for another revision than the main one.

    Raises:
        ModelError: If it does not exist, is gated, or cannot be fetched; the message says which.
    """
    repository, _, revision = name.partition("@")
    wanted = ["*.json", "*.txt", "*.model", *WEIGHT_FILES]
    try:
        folder = snapshot_download(repository, revision=revision or None, allow_patterns=wanted)
    except (HfHubHTTPError, HFValidationError, OSError, ValueError) as error:
        raise ModelError(_reason(repository, revision, error)) from error
    return Path(folder)


def _reason(repository: str, revision: str, error: Exception) -> str:
    page = f"https://huggingface.co/{repository}"
    if isinstance(error, GatedRepoError):
        return f"{repository} is gated: accept its terms at {page}, then run `hf auth login`"
    if isinstance(error, RepositoryNotFoundError):
        return f"there is no model {repository} on the Hub, or it is private ({page})"
    if isinstance(error, RevisionNotFoundError):
        return f"{repository} has no revision '{revision}' ({page})"
    first = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return (
        f"the files of {repository} could not be fetched ({first}); check the network, or give the "
        "path of a downloaded copy as the model"
    )
