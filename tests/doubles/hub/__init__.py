"""A Hugging Face Hub on the loopback: data set repositories, LFS, commits, branches, pull requests.

It answers what `huggingface_hub` and `datasets` ask for when a data set is pushed and loaded, keeps
every commit, and can be told to fail.
"""

from doubles.hub.dataset import CARD, seal
from doubles.hub.repositories import READER, WRITER, Cut, Refusal
from doubles.hub.server import StubHub, client_of

__all__ = ["CARD", "READER", "WRITER", "Cut", "Refusal", "StubHub", "client_of", "seal"]
