"""The client without warnings of its own: they say less than our faults and may name addresses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet_client(*, bars: bool = True) -> Iterator[None]:
    """Keep `huggingface_hub` from warning of every try that did not get through.

    Args:
        bars: Whether it may show how far a download is.
    """
    from huggingface_hub import utils

    hidden, level = utils.are_progress_bars_disabled(), utils.logging.get_verbosity()
    if not bars:
        utils.disable_progress_bars()
    utils.logging.set_verbosity_error()
    try:
        yield
    finally:
        utils.logging.set_verbosity(level)
        if not hidden:
            utils.enable_progress_bars()
