"""One frozen config per stage, checked when it is made, read from presets and written into runs."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import tomli_w

from advgen.errors import ConfigError
from advgen.records import ClassPair
from advgen.toml import TomlError, read_toml

Treatment = Literal["paper", "centered"]
Choice = Literal["magnitude", "signed", "variance"]
WordScore = Literal["codes", "activation", "projection"]
METHODS = ("second-order", "random", "indirect", "similar-words", "random-words")
TREATMENTS: tuple[Treatment, ...] = ("paper", "centered")
ATOMS = ("unit", "centered-unit", "authors")


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelConfig:
    """The attacked CLIP.

    Attributes:
        name: `name/pretrained`, a checkpoint folder, or a sandbox checkpoint.
        templates: Class prompts with `{noun}` or `{article} {noun}`; several are averaged.
        device: Torch device, or `auto`.
        batch_size: Images per forward pass.
    """

    name: str = "sandbox-a"
    templates: tuple[str, ...] = ("a photo of {article} {noun}.",)
    device: str = "auto"
    batch_size: int = 64

    def __post_init__(self) -> None:
        """Check the values."""
        _require(bool(self.templates), "model.templates must name at least one template")
        _require(
            all("{noun}" in t or "{}" in t for t in self.templates),
            "each of model.templates needs {noun} where the class name goes",
        )
        _require(self.batch_size >= 1, "model.batch_size must be at least 1")


@dataclass(frozen=True, kw_only=True, slots=True)
class LensConfig:
    """How neuron directions are found (paper Secs. 3 and 4).

    Attributes:
        layers: MLP layers whose neurons are used, from 0.
        images: The image set the effects are taken over: `sandbox:N` or a folder of images.
        treatment: Of the layer norm's mean: `paper` or `centered`.
        top_images: Images of largest effect that a direction is fitted to.
        batch_size: Images per pass of the tower; the effects do not depend on it but for rounding.
    """

    layers: tuple[int, ...] = (0, 1, 2, 3, 4)
    images: str = "sandbox:2000"
    treatment: Treatment = "paper"
    top_images: int = 100
    batch_size: int = 100

    def __post_init__(self) -> None:
        """Check the values."""
        _require(bool(self.layers), "lens.layers must name at least one layer")
        _require(all(layer >= 0 for layer in self.layers), "lens.layers count from 0")
        _choice(TREATMENTS, self.treatment, "lens.treatment")
        _require(len(set(self.layers)) == len(self.layers), "lens.layers names a layer twice")
        _require(self.top_images >= 2, "lens.top_images must be at least 2")
        _require(self.batch_size >= 1, "lens.batch_size must be at least 1")


@dataclass(frozen=True, kw_only=True, slots=True)
class TextConfig:
    """How directions are written as words (paper Sec. 4.2).

    Attributes:
        pool: `sandbox`, `words-N` (the N most frequent English words) or a text file.
        nonzeros: Words per neuron (m).
        atoms: Treatment of the pool's embeddings: `unit`, `centered-unit` or `authors`.
    """

    pool: str = "sandbox"
    nonzeros: int = 32
    atoms: str = "unit"

    def __post_init__(self) -> None:
        """Check the values."""
        _require(self.nonzeros >= 1, "text.nonzeros must be at least 1")
        _require(
            self.atoms in ATOMS, f"text.atoms is '{self.atoms}'; choose one of {', '.join(ATOMS)}"
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class MiningConfig:
    """Which words are put into the scenes (paper Sec. 5.1).

    Attributes:
        neurons: Neurons that speak most for the pair.
        words: Spurious words that are kept.
        choice: By what neurons are chosen: `magnitude` of <v, r_n> (the paper's), `signed` <v, r_n>
            or `variance`, the magnitude times the share of the effect's variance on r_n.
        score: Of a word: `codes` (Eq. 6), `activation` (Eq. 6 with each neuron weighted by the size
            of its effects on images of the true class) or `projection` of the word's embedding
            through the chosen directions.
        activation_images: Labelled image set for `activation`; images of the true class are used.
        indirect_images: Images that the directions of `indirect` are taken over: the first ones of
            the lens's image set.
        similarity: Sentence encoder that finds words like the target class: `letters`,
            `sentence:MODEL` (a sentence-transformers model) or `none`.
        max_similarity: Cosine to the target class from which on a word is dropped.
        block: File with further words to drop, `class: word, word` per line; empty for none.
    """

    neurons: int = 100
    words: int = 25
    choice: Choice = "magnitude"
    score: WordScore = "codes"
    activation_images: str = ""
    indirect_images: int = 100
    similarity: str = "letters"
    max_similarity: float = 0.6
    block: str = ""

    def __post_init__(self) -> None:
        """Check the values."""
        _require(
            self.score != "activation" or bool(self.activation_images),
            "mining.score 'activation' needs mining.activation_images, a labelled image set",
        )
        _require(self.indirect_images >= 2, "mining.indirect_images must be at least 2")
        _require(0 < self.max_similarity <= 1, "mining.max_similarity must be above 0, at most 1")
        _require(self.neurons >= 1, "mining.neurons must be at least 1")
        _require(self.words >= 1, "mining.words must be at least 1")


@dataclass(frozen=True, kw_only=True, slots=True)
class DescribeConfig:
    """How words become sentences.

    Attributes:
        describer: Registered describer.
        candidates: Sentences asked for; some of them are drawn.
        descriptions: Sentences that are drawn per pair, method and repeat.
        max_attempts: Times of asking before giving up.
        rounds: Rounds that the sentences are spread over; after the first one the words that fooled
            the model are asked for again (a closed loop, not in the paper).
        options: Passed to the describer as keyword arguments.
    """

    describer: str = "template"
    candidates: int = 50
    descriptions: int = 10
    max_attempts: int = 5
    rounds: int = 1
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the values."""
        _require(self.descriptions >= 1, "describe.descriptions must be at least 1")
        _require(
            self.candidates >= self.descriptions,
            "describe.candidates must not be fewer than describe.descriptions",
        )
        _require(self.max_attempts >= 1, "describe.max_attempts must be at least 1")
        _require(
            1 <= self.rounds <= self.descriptions,
            "describe.rounds must be at least 1 and not more than describe.descriptions",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class DrawConfig:
    """How sentences become images.

    Attributes:
        synthesizer: Registered synthesizer.
        size: Side of the images in pixels.
        batch_size: Images that are drawn together.
        max_redraws: Draws that may be rejected (flagged, black) per image before giving up.
        options: Passed to the synthesizer as keyword arguments.
    """

    synthesizer: str = "sandbox"
    size: int = 128
    batch_size: int = 1
    max_redraws: int = 4
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the values."""
        _require(self.size >= 16, "draw.size must be at least 16 pixels")
        _require(self.batch_size >= 1, "draw.batch_size must be at least 1")
        _require(self.max_redraws >= 0, "draw.max_redraws must not be negative")


@dataclass(frozen=True, kw_only=True, slots=True)
class AttackConfig:
    """A whole attack: pairs x methods x repeats, and how each stage works.

    Attributes:
        pairs: What to attack.
        methods: How words are mined.
        images: Images per pair, method and repeat.
        repeats: Repetitions with different draws.
        seed: Seed of everything that is drawn.
        judge: Who verifies the images.
        model: The attacked CLIP.
        lens: Neuron directions.
        text: Words of neurons.
        mining: Spurious words.
        describe: Sentences.
        draw: Images.
    """

    pairs: tuple[ClassPair, ...]
    methods: tuple[str, ...] = ("second-order",)
    images: int = 100
    repeats: int = 1
    seed: int = 0
    judge: str = "sandbox"
    model: ModelConfig = field(default_factory=ModelConfig)
    lens: LensConfig = field(default_factory=LensConfig)
    text: TextConfig = field(default_factory=TextConfig)
    mining: MiningConfig = field(default_factory=MiningConfig)
    describe: DescribeConfig = field(default_factory=DescribeConfig)
    draw: DrawConfig = field(default_factory=DrawConfig)

    def __post_init__(self) -> None:
        """Check the values."""
        _require(bool(self.pairs), "an attack needs at least one pair, for example --pair dog:deer")
        slugs = {pair.slug for pair in self.pairs}
        _require(len(slugs) == len(self.pairs), "a pair is named twice, or two share a file name")
        _require(bool(self.methods), "an attack needs at least one method")
        _require(len(set(self.methods)) == len(self.methods), "a method is named twice")
        for method in self.methods:
            _require(
                method in METHODS, f"unknown method '{method}'; choose one of {', '.join(METHODS)}"
            )
        _require(self.images >= 1, "--images must be at least 1")
        _require(self.repeats >= 1, "--repeats must be at least 1")
        _require(self.seed >= 0, "--seed must not be negative")


def preset_names() -> list[str]:
    """Names of the packaged presets."""
    folder = resources.files("advgen").joinpath("presets")
    files = (entry.name for entry in folder.iterdir())
    return sorted(name.removesuffix(".toml") for name in files if name.endswith(".toml"))


def read_preset(name: str) -> dict[str, Any]:
    """The table of a packaged preset.

    Raises:
        ConfigError: If there is no such preset.
    """
    if name not in preset_names():
        raise ConfigError(f"unknown preset '{name}'; available: {', '.join(preset_names())}")
    folder = resources.files("advgen").joinpath("presets")
    return read_toml(folder.joinpath(f"{name}.toml").read_text(encoding="utf-8"))


def attack_config(table: Mapping[str, Any]) -> AttackConfig:
    """Build an `AttackConfig` from a table as it stands in a preset or a `run.toml`.

    Raises:
        ConfigError: If the table has an unknown key or a value of the wrong type.
    """
    return _build(AttackConfig, table, "")


def attack_table(config: AttackConfig) -> dict[str, Any]:
    """The config as a table of plain values; inverse of `attack_config`."""
    return _plain(config)


def attack_toml(config: AttackConfig) -> str:
    """The config as TOML text."""
    return tomli_w.dumps(attack_table(config))


def read_attack_toml(path: Path) -> AttackConfig:
    """Read a config written by `attack_toml`.

    Raises:
        ConfigError: If the file is not such a config.
    """
    try:
        return attack_config(read_toml(path.read_text(encoding="utf-8")))
    except (OSError, TomlError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path} is not readable as TOML ({error}); remove it or use another --out"
        ) from error


def differing_keys(first: AttackConfig, second: AttackConfig) -> list[str]:
    """Dotted names of the settings in which two configs differ."""
    left, right = _flat(attack_table(first)), _flat(attack_table(second))
    return sorted(key for key in left.keys() | right.keys() if left.get(key) != right.get(key))


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ConfigError(message)


def _build(kind: Any, table: Any, prefix: str) -> Any:
    if not isinstance(table, Mapping):
        raise ConfigError(f"{prefix.rstrip('.')} must be a table of settings, got {table!r}")
    hints = typing.get_type_hints(kind)
    unknown = sorted(set(table) - set(hints))
    if unknown:
        known = ", ".join(sorted(hints))
        raise ConfigError(f"unknown setting '{prefix}{unknown[0]}'; known here: {known}")
    for entry in dataclasses.fields(kind):
        optional = (entry.default, entry.default_factory) != (dataclasses.MISSING,) * 2
        if entry.name not in table and not optional:
            raise ConfigError(f"the setting '{prefix}{entry.name}' is missing")
    return kind(**{key: _value(hints[key], value, prefix + key) for key, value in table.items()})


def _value(hint: Any, value: Any, name: str) -> Any:
    if hint is ClassPair:
        return ClassPair.parse(_typed(str, value, name))
    if dataclasses.is_dataclass(hint):
        return _build(hint, value, f"{name}.")
    origin = typing.get_origin(hint)
    if origin is Literal:
        return _choice(typing.get_args(hint), value, name)
    if origin is tuple:
        item = typing.get_args(hint)[0]
        if not isinstance(value, list | tuple):
            raise ConfigError(f"{name} must be a list, got {value!r}")
        return tuple(_value(item, entry, name) for entry in value)
    if origin is Mapping:
        if not isinstance(value, Mapping):
            raise ConfigError(f"{name} must be a table, got {value!r}")
        return dict(value)
    return _typed(hint, value, name)


def _choice(known: tuple[str, ...], value: Any, name: str) -> Any:
    if value not in known:
        raise ConfigError(f"{name} is {value!r}; choose one of {', '.join(known)}")
    return value


def _typed(kind: type, value: Any, name: str) -> Any:
    """The value, if it is of exactly that type (True is no number; 1 will do for 1.0)."""
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise ConfigError(f"{name} must be of type {kind.__name__}, got {value!r}")
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, ClassPair):
        return str(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return value


def _flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, Mapping):
            flat.update(_flat(value, f"{prefix}{key}."))
        else:
            flat[prefix + key] = value
    return flat
