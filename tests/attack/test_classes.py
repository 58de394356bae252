"""Names of classes in the drawn world and in the open one."""

import pytest

from advgen.attack.classes import check_classes, in_world
from advgen.config import attack_config
from advgen.errors import ConfigError


def config(*pairs: str, synthesizer: str = "sandbox"):
    return attack_config({"pairs": list(pairs), "draw": {"synthesizer": synthesizer}})


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("dog:deer", "dog:deer"),
        ("dogs:stag", "dog:deer"),
        ("stop sign:yield", "stop sign:yield sign"),
        ("stop signs:give way sign", "stop sign:yield sign"),
        ("stop sign:crossroad", "stop sign:crossroad sign"),
        ("cat:vacuum cleaner", "cat:vacuum cleaner"),
        ("cat:unicorn", "cat:unicorn"),
    ],
)
def test_a_class_is_found_by_its_other_names(asked: str, found: str) -> None:
    renamed, notes = in_world(config(asked))
    assert [str(pair) for pair in renamed.pairs] == [found]
    changed = sum(a != b for a, b in zip(asked.split(":"), found.split(":"), strict=True))
    assert len(notes) == changed


def test_where_everything_can_be_drawn_names_stay() -> None:
    asked = config("dogs:yield", synthesizer="deepfloyd")
    assert in_world(asked) == (asked, [])
    check_classes(asked)


def test_two_names_of_one_class_are_no_pair() -> None:
    with pytest.raises(ConfigError, match="both are 'deer' in the sandbox world"):
        in_world(config("stag:deer"))


def test_pairs_that_become_the_same_are_attacked_once() -> None:
    renamed, _ = in_world(config("dog:deer", "dog:stag"))
    assert [str(pair) for pair in renamed.pairs] == ["dog:deer"]


def test_an_unknown_class_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="no class 'elefant'; did you mean elephant"):
        check_classes(config("elefant:dog"))
