"""Hugging Face repositories: what is on this machine, what the Hub lets us have, what went wrong.

A source is a repository's id (`owner/name`) or a local folder; a folder wins, as it does in
transformers and diffusers. No token is ever printed or kept; `huggingface_hub` reads it.
"""

from advgen.hub.access import PATIENCE, Access, TokenState, check_access, together, token_state
from advgen.hub.cache import cached_folder, cached_revision
from advgen.hub.faults import hub_fault, is_folder, page_of
from advgen.hub.quiet import quiet_client
from advgen.hub.revision import folder_digest, pinned_revision

__all__ = [
    "PATIENCE",
    "Access",
    "TokenState",
    "cached_folder",
    "cached_revision",
    "check_access",
    "folder_digest",
    "hub_fault",
    "is_folder",
    "page_of",
    "pinned_revision",
    "quiet_client",
    "together",
    "token_state",
]
