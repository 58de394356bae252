"""How an image set is named.

    SPEC    = PLACE [ "?" OPTIONS ]       a folder
            | SOURCE ":" PLACE [ "?" OPTIONS ]
    OPTIONS = NAME "=" VALUE { "&" NAME "=" VALUE }      percent-encoded as in a URL

| source | place | its own options |
|---|---|---|
| `sandbox` | number of drawn images | `single=1` one thing each; `seed=0`; `size=128` pixels |
| `folder` | folder of images | `labels=auto`, `first`, `path` or `none` (`folder_labels`) |
| `imagenet` | split of ImageNet, or of a set with its 1000 classes | `classes=all` or `present` |
| `imagenet-r`, `imagenet-a` | the set's folder | the same, out of its own 200 classes |
| `hf` | Hugging Face data set, or a folder of one | `split=`, `config=`, `revision=`, `image=`,
`label=` (columns), `classes=own` or `imagenet` |

Every source takes `every=K` and `offset=N` (images N, N+K, N+2K ...), then `shuffle=SEED`, then
`limit=N` (the first N of what is left), in this order whatever the order in the spec. The paper's
sets are every 250th training image (`every=250`; its 5124 images are `offset=249`, from offset 0 it
is 5125) and every 10th validation image of ImageNet.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin
from urllib.parse import parse_qsl

from advgen import registry
from advgen.errors import ConfigError, DataError
from advgen.imagesets.chosen import choose_images
from advgen.imagesets.folder import open_folder
from advgen.imagesets.protocol import ImageSet

_KIND = "image set"
_FEWEST = {"every": 1, "limit": 1}
_FLAGS = {"1": True, "true": True, "0": False, "false": False}


def load_image_set(spec: str) -> ImageSet:
    """An image set by name.

    Args:
        spec: A folder or `SOURCE:PLACE`, with options; the grammar stands at the top of this file.

    Raises:
        ConfigError: If the spec cannot be understood or names an unknown option.
        DataError: If there are no such images, or they cannot be read.
    """
    if spec and Path(spec).is_dir():
        return open_folder(spec)
    head, mark, query = spec.partition("?")
    source, colon, place = head.partition(":")
    make: Callable[..., ImageSet] = open_folder
    if colon and source in registry.names(_KIND):
        make = registry.resolve(_KIND, source)
    elif head and Path(head).expanduser().is_dir():
        place = head
    else:
        raise DataError(_not_found(spec, source if colon else ""))
    own, common = option_types(make), option_types(choose_images)
    values = read_options(spec, query if mark else None, {**own, **common})
    images = make(place, **{name: value for name, value in values.items() if name in own})
    return choose_images(
        images, **{name: value for name, value in values.items() if name in common}
    )


def option_types(make: Callable[..., Any]) -> dict[str, Any]:
    """Name and type of the options that a source takes: its keyword-only arguments."""
    parameters = inspect.signature(make, eval_str=True).parameters.values()
    keyword = inspect.Parameter.KEYWORD_ONLY
    return {item.name: item.annotation for item in parameters if item.kind is keyword}


def read_options(spec: str, query: str | None, types: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a spec as values.

    Args:
        spec: The whole spec, for messages.
        query: What stands after its question mark; None without one.
        types: Name -> type of every option there is, as `option_types` gives them: `int`, `bool`,
            `str` or a `Literal`, or one of these or None.

    Raises:
        ConfigError: If it cannot be understood, names an unknown option or gives one twice.
    """
    given = {} if query is None else _parse(spec, query)
    unknown = [name for name in given if name not in types]
    if unknown:
        raise ConfigError(f"'{spec}': " + registry.unknown_name("option", unknown[0], types))
    return {name: _value(spec, name, text, types[name]) for name, text in given.items()}


def _parse(spec: str, query: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True)
    except ValueError as error:
        raise ConfigError(
            f"'{spec}': write options as name=value, joined by &, after the question mark"
        ) from error
    given = dict(pairs)
    if len(given) < len(pairs):
        raise ConfigError(f"'{spec}' gives an option twice; leave one out")
    return given


def _value(spec: str, name: str, text: str, kind: Any) -> Any:
    if get_origin(kind) is Literal:
        if text not in get_args(kind):
            raise ConfigError(f"'{spec}': {registry.unknown_name(name, text, get_args(kind))}")
        return text
    if kind is bool:
        if text not in _FLAGS:
            raise ConfigError(f"'{spec}': {name} is a switch; write {name}=1 or {name}=0")
        return _FLAGS[text]
    if kind is str:
        return text
    least = _FEWEST.get(name, 0)
    if not (text.isascii() and text.isdecimal()) or int(text) < least:
        raise ConfigError(f"'{spec}': {name} is a whole number from {least} on; got '{text}'")
    return int(text)


def _not_found(spec: str, source: str) -> str:
    known = registry.names(_KIND)
    close = registry.closest(source, known) if source else []
    hint = f" (did you mean {close[0]}:?)" if close else ""
    listed = ", ".join(f"{name}:" for name in known)
    return f"'{spec}' is neither a folder of images nor of a known kind{hint}: {listed}"
