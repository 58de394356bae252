"""Whether the chat server of the `openai` describer is there."""

from __future__ import annotations

import os
import socket
from urllib.parse import urlsplit

from advgen.chat.address import KEY_VARIABLE, OPENAI_URL, server_address
from advgen.config import AttackConfig
from advgen.doctor.check import Check
from advgen.errors import ConfigError
from advgen.hub import together


def check_server(config: AttackConfig, seconds: float) -> list[Check]:
    """Whether something listens at the server's address; no request is sent."""
    if config.describe.describer != "openai":
        return []
    try:
        address = server_address(str(config.describe.options.get("url", "")))
    except ConfigError as error:
        return [Check("chat server", "fail", "its address cannot be used", str(error))]
    if address == OPENAI_URL and not os.environ.get(KEY_VARIABLE, "").strip():
        todo = f"set {KEY_VARIABLE}, or name another server in describe.options.url"
        return [Check("chat server", "fail", "OpenAI's server needs a key", todo)]
    todo = "start it, or correct describe.options.url"
    slow = Check("chat server", "fail", f"{address} does not answer", todo)
    return together([lambda: _listens(address, seconds, todo)], [slow], seconds)


def _listens(address: str, seconds: float, todo: str) -> Check:
    parts = urlsplit(address)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        with socket.create_connection((parts.hostname or "", port), timeout=seconds):
            return Check("chat server", "ok", f"something listens at {address}")
    except (OSError, UnicodeError) as error:
        told = f"nothing answers at {address} ({getattr(error, 'strerror', None) or error})"
        return Check("chat server", "fail", told, todo)
