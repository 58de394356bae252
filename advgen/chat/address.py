"""Where a chat server is, and in which variables its address and key are found."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from advgen.errors import ConfigError

OPENAI_URL = "https://api.openai.com/v1"
KEY_VARIABLE, URL_VARIABLE = "OPENAI_API_KEY", "OPENAI_BASE_URL"


def server_address(url: str = "") -> str:
    """The base URL of a server, checked, without a slash at its end.

    Args:
        url: `http://HOST:PORT/v1`; if empty `$OPENAI_BASE_URL`, else OpenAI's.

    Raises:
        ConfigError: If it is no URL, or carries a user name, a key or a query.
    """
    url = (url or os.environ.get(URL_VARIABLE, "")).strip() or OPENAI_URL
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname)
        usable = usable and (parts.port is None or parts.port > 0)
    except ValueError:
        usable, parts = False, urlsplit("")
    if "@" in url or parts.query or parts.fragment:
        raise ConfigError(
            f"the URL of {parts.hostname or 'the server'} must not carry a user name, a key or a "
            f"query; put the key into {KEY_VARIABLE}"
        )
    if not usable:
        raise ConfigError(f"'{url}' is not the URL of a server; write http://HOST:PORT/v1")
    return url.rstrip("/")
