"""The Hub's client without warnings of its own."""

import logging

import pytest

from advgen import hub


@pytest.mark.parametrize("bars", [True, False])
def test_a_quiet_client_warns_of_nothing_and_is_as_before_afterwards(bars: bool) -> None:
    from huggingface_hub import utils

    before = utils.logging.get_verbosity(), utils.are_progress_bars_disabled()
    logger = utils.logging.get_logger("huggingface_hub.utils._http")
    with pytest.raises(KeyError), hub.quiet_client(bars=bars):
        assert not logger.isEnabledFor(logging.WARNING) and logger.isEnabledFor(logging.ERROR)
        assert utils.are_progress_bars_disabled() == (before[1] or not bars)
        raise KeyError
    assert (utils.logging.get_verbosity(), utils.are_progress_bars_disabled()) == before
