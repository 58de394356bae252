import hashlib

import pytest

from advgen.errors import ConfigError
from advgen.prompts import prompt_revision, prompt_text


def test_the_revision_is_that_of_the_text() -> None:
    digest = hashlib.sha256(prompt_text("sentences.toml").encode()).hexdigest()
    assert prompt_revision("sentences.toml") == digest[:12]


def test_a_missing_prompt_is_named() -> None:
    with pytest.raises(ConfigError, match="nothing-like-it"):
        prompt_text("nothing-like-it.md")
