"""Names of the pluggable parts and where each one lives: ``name -> "module:attribute"``.

The tables are static, so listing the names imports nothing; the module behind a name is imported
when it is resolved. This is also how a folder reaches a part that stands below it in the house.
"""

import difflib
import importlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from advgen.errors import ConfigError

_SHOWN = 24


@dataclass(frozen=True, slots=True)
class Entry:
    """One implementation of a pluggable kind.

    Args:
        target: ``"package.module:attribute"``.
        extra: Extra of this package that brings the third-party imports, e.g. ``"review"``.
    """

    target: str
    extra: str | None = None


class Registry:
    """Static tables of names per kind, resolved lazily.

    Args:
        tables: kind -> name -> entry (or its bare target string).
    """

    def __init__(self, tables: Mapping[str, Mapping[str, Entry | str]]) -> None:
        self._tables = {
            kind: {
                name: entry if isinstance(entry, Entry) else Entry(entry)
                for name, entry in table.items()
            }
            for kind, table in tables.items()
        }

    def kinds(self) -> tuple[str, ...]:
        """The kinds of parts, in table order."""
        return tuple(self._tables)

    def names(self, kind: str) -> tuple[str, ...]:
        """The names registered for `kind`, in table order.

        Raises:
            ValueError: If there is no such kind.
        """
        return tuple(self._table(kind))

    def resolve(self, kind: str, name: str) -> Any:
        """Import and return the class or function registered as `name`.

        Raises:
            ValueError: If there is no such kind.
            ConfigError: If the name is unknown (with suggestions) or its package is not installed.
        """
        table = self._table(kind)
        if name not in table:
            raise ConfigError(unknown_name(kind, name, table))
        return _load(kind, name, table[name])

    def _table(self, kind: str) -> dict[str, Entry]:
        if kind not in self._tables:
            raise ValueError(f"kind must be one of {', '.join(self._tables)}; got '{kind}'")
        return self._tables[kind]


def closest(name: str, known: Iterable[str]) -> list[str]:
    """Up to three of `known` that look like `name`, the closest first; case does not matter."""
    by_lower = {other.lower(): other for other in known}
    found = difflib.get_close_matches(name.lower(), list(by_lower), n=3, cutoff=0.6)
    return [by_lower[lower] for lower in found]


def unknown_name(kind: str, name: str, known: Iterable[str]) -> str:
    """The message for a name that is not in `known`: the closest ones, then what there is."""
    known = list(known)
    close = closest(name, known)
    hint = f"did you mean {' or '.join(close)}? " if close else ""
    shown = ", ".join(known[:_SHOWN]) or "none"
    more = f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
    return f"unknown {kind} '{name}': {hint}Known: {shown}{more}."


def _load(kind: str, name: str, entry: Entry) -> Any:
    module_name, _, attribute = entry.target.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] == "advgen":
            raise
        install = f"advgen[{entry.extra}]" if entry.extra else str(error.name)
        raise ConfigError(
            f"the {kind} '{name}' needs the package '{error.name}': pip install '{install}'"
        ) from error
    return getattr(module, attribute)


REGISTRY = Registry(
    {
        "clip": {
            "sandbox-a": "advgen.sandbox.clip:load_sandbox_clip",
            "sandbox-b": "advgen.sandbox.clip:load_sandbox_clip",
            "sandbox-c": "advgen.sandbox.clip:load_sandbox_clip",
        },
        "tokenizer": {"words": "advgen.sandbox.tokenizer:WordTokenizer"},
        "image set": {
            "sandbox": "advgen.sandbox.images:open_sandbox",
            "folder": "advgen.imagesets.folder:open_folder",
            "imagenet": "advgen.imagesets.imagenet:open_imagenet",
            "imagenet-r": "advgen.imagesets.imagenet:open_imagenet_r",
            "imagenet-a": "advgen.imagesets.imagenet:open_imagenet_a",
            "hf": Entry("advgen.imagesets.hub:open_hub", extra="real"),
        },
        "pool": {"sandbox": "advgen.sandbox.words:pool_words"},
        "synonyms": {"sandbox": "advgen.sandbox.words:class_synonyms"},
        "method": {
            "second-order": "advgen.mining.methods:second_order",
            "random": "advgen.mining.methods:random_neurons",
            "indirect": "advgen.mining.methods:indirect",
            "similar-words": "advgen.mining.methods:similar_words",
            "random-words": "advgen.mining.methods:random_words",
        },
        "sentence encoder": {
            "letters": "advgen.mining.encoders:LetterEncoder",
            "sentence": Entry("advgen.mining.encoders:SentenceEncoder", extra="real"),
        },
        "describer": {
            "template": "advgen.generation.describers.template:TemplateDescriber",
            "llama": Entry("advgen.generation.describers.chat:llama_describer", extra="real"),
            "openai": Entry("advgen.generation.describers.chat:openai_describer", extra="real"),
        },
        "describer needs": {
            "template": "advgen.catalogue:needs_nothing",
            "llama": "advgen.generation.needs:llama_needs",
            "openai": "advgen.catalogue:needs_nothing",
        },
        "synthesizer": {
            "sandbox": "advgen.sandbox.synthesizer:SandboxSynthesizer",
            "deepfloyd": Entry(
                "advgen.generation.synthesizers.deepfloyd:DeepFloydSynthesizer", extra="real"
            ),
            "diffusers": Entry(
                "advgen.generation.synthesizers.any_pipeline:DiffusersSynthesizer", extra="real"
            ),
        },
        "synthesizer needs": {
            "sandbox": "advgen.catalogue:needs_nothing",
            "deepfloyd": "advgen.generation.needs:deepfloyd_needs",
            "diffusers": "advgen.generation.needs:diffusers_needs",
        },
        "judge": {
            "sandbox": "advgen.sandbox.judge:SandboxJudge",
            "none": "advgen.scoring.judges:NoJudge",
            "vlm": Entry("advgen.judging.vlm:open_vlm", extra="real"),
            "owlv2": Entry("advgen.judging.owlv2:open_owlv2", extra="real"),
            "server": Entry("advgen.judging.server_vlm:open_server", extra="real"),
        },
        "chat model": {
            "openai": Entry("advgen.chat.openai_chat:open_openai", extra="real"),
            "llama": Entry("advgen.chat.llama_chat:open_llama", extra="real"),
        },
        "segmenter": {
            name: f"advgen.evaluate.segmentation.methods.{target}"
            for name, target in {
                "second-order": "second_order:SecondOrder",
                "textspan": "textspan:TextSpan",
                "raw-attention": "raw_attention:RawAttention",
                "rollout": "rollout:Rollout",
                "gradcam": "gradcam:GradCam",
                "lrp": "lrp:Lrp",
                "partial-lrp": "partial_lrp:PartialLrp",
                "chefer": "chefer:Chefer",
                "legrad": "legrad:LeGrad",
                "maskclip": "maskclip:MaskClip",
                "sclip": "sclip:Sclip",
                "clearclip": "clearclip:ClearClip",
                "gem": "gem:Gem",
            }.items()
        },
        "mask set": {
            "sandbox": "advgen.sandbox.masks:open_masks",
            "imagenet-seg": Entry(
                "advgen.evaluate.segmentation.gtsegs:open_gtsegs", extra="evaluate"
            ),
        },
        "exporter": {
            "imagefolder": "advgen.exports.imagefolder:ImageFolder",
            "parquet": "advgen.exports.parquet:ParquetFiles",
            "clip-benchmark": "advgen.exports.clip_benchmark:ClipBenchmark",
            "fiftyone": "advgen.exports.fiftyone:FiftyOne",
            "label-studio": "advgen.exports.label_studio:LabelStudio",
            "argilla": "advgen.exports.argilla:Argilla",
            "csv": "advgen.exports.csv_table:CsvTable",
        },
    }
)

resolve = REGISTRY.resolve
names = REGISTRY.names
