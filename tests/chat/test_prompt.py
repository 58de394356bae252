import pytest

from advgen import prompts
from advgen.chat import Message, load_prompt
from advgen.errors import ConfigError
from advgen.text.descriptions import PROMPT


def install(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("prompt_text", text), ("prompt_revision", "0" * 12)):
        monkeypatch.setattr(f"advgen.chat.prompt.{name}", lambda _name, value=value: value)


def test_the_class_prompt_asks_for_what_the_parser_reads() -> None:
    prompt = load_prompt(PROMPT)
    system, user = prompt.messages(class_name="kite (bird of prey)", count=7, known=())
    assert (system.role, user.role) == ("system", "user")
    assert "kite (bird of prey)" in user.content
    assert user.content.endswith(
        "Answer with the 7 descriptions, one on each line, and nothing else."
    )
    assert "are there already" not in user.content
    assert "{" not in system.content + user.content


def test_the_class_prompt_names_what_is_there_already() -> None:
    prompt = load_prompt(PROMPT)
    user = prompt.messages(class_name="cat", count=2, known=("Image <1>", "Image 2"))[-1].content
    assert "write other ones:\n- Image <1>\n- Image 2\n" in user


def test_the_revision_is_that_of_the_file() -> None:
    assert load_prompt(PROMPT).revision == prompts.prompt_revision(PROMPT)
    assert load_prompt(PROMPT).version == 1


def test_an_unfilled_slot_is_an_error() -> None:
    with pytest.raises(ValueError, match="class_descriptions.toml; got 'known' is undefined"):
        load_prompt(PROMPT).messages(class_name="cat", count=2)


def test_a_prompt_may_do_without_a_system_message(monkeypatch: pytest.MonkeyPatch) -> None:
    install('version = 2\nuser = "{{ a }} & b"', monkeypatch)
    assert load_prompt("x.toml").messages(a="<a>") == [Message("user", "<a> & b")]


@pytest.mark.parametrize(
    ("noun", "said"),
    [("dog", "a dog"), ("elephant", "an elephant"), ("unicycle", "a unicycle"), ("mice", "mice")],
)
def test_nouns_get_their_article(noun: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    install('version = 1\nuser = "{{ noun | article }}"', monkeypatch)
    assert load_prompt("x.toml").messages(noun=noun) == [Message("user", said)]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("version = 1", "lacks the key 'user'"),
        ('user = "x"', "lacks the key 'version'"),
        ('user = "x"\nversion = "one"', "whole number"),
        ("user = ", "is not TOML"),
    ],
)
def test_a_faulty_prompt_file_is_a_config_error(
    text: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(text, monkeypatch)
    with pytest.raises(ConfigError, match=says):
        load_prompt("x.toml")
