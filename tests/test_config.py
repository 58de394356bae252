import dataclasses
from pathlib import Path
from typing import Any

import pytest

from advgen import registry
from advgen.config import (
    ATOMS,
    METHODS,
    AttackConfig,
    DrawConfig,
    LensConfig,
    TextConfig,
    attack_config,
    attack_table,
    attack_toml,
    differing_keys,
    preset_names,
    read_attack_toml,
    read_preset,
)
from advgen.errors import ConfigError
from advgen.records import ClassPair
from advgen.text import ATOM_TREATMENTS
from advgen.toml import read_toml

PAIRS = ["dog:deer"]


def test_the_names_known_to_the_config_are_those_that_exist() -> None:
    assert registry.names("method") == METHODS
    assert tuple(ATOM_TREATMENTS) == ATOMS


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_is_a_config_once_pairs_are_named(name: str) -> None:
    config = attack_config({**read_preset(name), "pairs": PAIRS})
    assert config.pairs == (ClassPair("dog", "deer"),)


def test_an_unknown_preset_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="sandbox"):
        read_preset("../presets/sandbox")


def test_a_config_survives_its_own_toml(tmp_path: Path) -> None:
    config = AttackConfig(
        pairs=(ClassPair("stop sign", "yield sign"), ClassPair("dog", "deer")),
        methods=("random", "second-order"),
        repeats=3,
        lens=LensConfig(layers=(2, 0), treatment="centered"),
        draw=DrawConfig(options={"main_size": [20.0, 30.0], "note": 'quoted "text"'}),
    )
    path = tmp_path / "run.toml"
    path.write_text(attack_toml(config), encoding="utf-8")
    assert read_attack_toml(path) == config
    assert attack_config(read_toml(attack_toml(config))) == config


@pytest.mark.parametrize("text", [b"pairs = [", b"\xff\xfe", None])
def test_a_config_file_that_cannot_be_read_is_a_user_fault(
    text: bytes | None, tmp_path: Path
) -> None:
    path = tmp_path / "run.toml"
    if text is not None:
        path.write_bytes(text)
    with pytest.raises(ConfigError, match=r"run\.toml"):
        read_attack_toml(path)


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ({}, "'pairs' is missing"),
        ({"pairs": []}, "at least one pair"),
        ({"pairs": "dog:deer"}, "pairs must be a list"),
        ({"pairs": [3]}, "pairs must be of type str"),
        ({"pairs": ["dog"]}, "not a pair"),
        ({"pairs": ["dog:deer", "dog:deer"]}, "named twice"),
        ({"pairs": ["a b:c", "a_b:c"]}, "share a file name"),
        ({"pairs": PAIRS, "colour": 1}, "unknown setting 'colour'"),
        ({"pairs": PAIRS, "images": "10"}, "images must be of type int"),
        ({"pairs": PAIRS, "images": True}, "images must be of type int"),
        ({"pairs": PAIRS, "images": 0}, "--images"),
        ({"pairs": PAIRS, "repeats": 0}, "--repeats"),
        ({"pairs": PAIRS, "seed": -1}, "--seed"),
        ({"pairs": PAIRS, "methods": []}, "at least one method"),
        ({"pairs": PAIRS, "methods": ["random", "random"]}, "method is named twice"),
        ({"pairs": PAIRS, "methods": ["luck"]}, "unknown method 'luck'.*second-order"),
        ({"pairs": PAIRS, "lens": 5}, "lens must be a table"),
        ({"pairs": PAIRS, "lens": {"layer": [1]}}, r"unknown setting 'lens\.layer'"),
        ({"pairs": PAIRS, "lens": {"layers": []}}, "at least one layer"),
        ({"pairs": PAIRS, "lens": {"layers": [-1]}}, "count from 0"),
        ({"pairs": PAIRS, "lens": {"layers": [1, 1]}}, "a layer twice"),
        ({"pairs": PAIRS, "lens": {"layers": [1.0]}}, r"lens\.layers must be of type int"),
        ({"pairs": PAIRS, "lens": {"treatment": "none"}}, "paper, centered"),
        ({"pairs": PAIRS, "lens": {"top_images": 1}}, "top_images"),
        ({"pairs": PAIRS, "lens": {"batch_size": 0}}, r"lens\.batch_size"),
        ({"pairs": PAIRS, "model": {"templates": ["a photo"]}}, "needs {noun}"),
        ({"pairs": PAIRS, "model": {"templates": []}}, "at least one template"),
        ({"pairs": PAIRS, "model": {"batch_size": 0}}, r"model\.batch_size"),
        ({"pairs": PAIRS, "text": {"nonzeros": 0}}, "nonzeros"),
        ({"pairs": PAIRS, "text": {"atoms": "whitened"}}, "centered-unit"),
        ({"pairs": PAIRS, "mining": {"neurons": 0}}, "neurons"),
        ({"pairs": PAIRS, "mining": {"words": 0}}, "words"),
        ({"pairs": PAIRS, "describe": {"descriptions": 0}}, "descriptions"),
        ({"pairs": PAIRS, "describe": {"candidates": 2}}, "candidates"),
        ({"pairs": PAIRS, "describe": {"max_attempts": 0}}, "max_attempts"),
        ({"pairs": PAIRS, "draw": {"size": 8}}, "16 pixels"),
        ({"pairs": PAIRS, "draw": {"max_redraws": -1}}, "max_redraws"),
        ({"pairs": PAIRS, "draw": {"options": 5}}, r"draw\.options must be a table"),
    ],
)
def test_a_bad_setting_is_named(table: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        attack_config(table)


def test_differing_keys_are_named_with_their_stage() -> None:
    first = attack_config({"pairs": PAIRS})
    second = dataclasses.replace(
        first, seed=1, text=TextConfig(nonzeros=8), draw=DrawConfig(options={"steps": 4})
    )
    assert differing_keys(first, first) == []
    assert differing_keys(first, second) == ["draw.options.steps", "seed", "text.nonzeros"]


def test_a_table_holds_every_setting_as_plain_values() -> None:
    table = attack_table(attack_config({"pairs": PAIRS}))
    assert set(table) == {field.name for field in dataclasses.fields(AttackConfig)}
    assert table["pairs"] == ["dog:deer"]
    assert table["lens"]["layers"] == [0, 1, 2, 3, 4]
