"""The card of a dataset: front matter for the Hub, text for people, from `build.json` alone.

What is generated lies between two marker lines; what a person writes around them is kept.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from importlib import resources
from typing import Any

from jinja2 import Environment, StrictUndefined, Template

from advgen.dataset.rows import SPLIT, features
from advgen.errors import DataError
from advgen.scoring import wilson_interval

BEGIN = "<!-- advgen begins: rewritten by every build; write above or below -->"
END = "<!-- advgen ends -->"
SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
"""Upper bounds of numbers of rows, and what the Hub calls the sizes below them."""
_KEPT = ("pretty_name", "language", "task_categories")
_JOINED = ("tags",)


def make_card(build: Mapping[str, Any]) -> str:
    """The card of a build: front matter and the generated text between its markers."""
    from huggingface_hub import DatasetCardData

    data = DatasetCardData(**front_matter(build))
    text = _template().render(_context(build)).strip()
    return f"---\n{data.to_yaml()}\n---\n\n{BEGIN}\n{text}\n{END}\n"


def merge_card(old: str, new: str) -> str:
    """A card with the generated part of `new` and everything that people wrote in `old`.

    Of the front matter, what a build states (licence, sizes, configs, features) comes from `new`;
    name, language and tasks that are there, and keys that no build writes, are kept; tags are
    joined. Text that people wrote in either is kept, once.

    Raises:
        DataError: If the front matter is no YAML mapping, or only one of the two markers is there.
    """
    from huggingface_hub import DatasetCardData

    old_data, old_text = _halves(old)
    new_data, new_text = _halves(new)
    data = {**old_data, **new_data}
    if new_data.get("license") != "other":
        for key in ("license_name", "license_link"):
            data.pop(key, None)
    data |= {key: old_data[key] for key in _KEPT if old_data.get(key)}
    for key in _JOINED:
        data[key] = list(dict.fromkeys([*_list(old_data.get(key)), *_list(new_data.get(key))]))
    above, _, below = _parts(old_text)
    new_above, body, new_below = _parts(new_text)
    parts = (_both(above, new_above), f"{BEGIN}\n{body}\n{END}", _both(below, new_below))
    yaml = DatasetCardData(**data).to_yaml()
    return f"---\n{yaml}\n---\n\n" + "\n\n".join(part for part in parts if part) + "\n"


def front_matter(build: Mapping[str, Any]) -> dict[str, Any]:
    """What the Hub reads of a card."""
    counts, licence = build["counts"], build["licence"]
    people, unseen = counts["reviewed"], counts["verified_by"].get("nobody", 0)
    made = [
        *(["machine-generated"] if counts["rows"] - people - unseen > 0 else []),
        *(["expert-generated"] if people else []),
    ]
    named = {"license_name": _slug(licence["name"]), "license_link": licence["link"]}
    return {
        "pretty_name": build["name"],
        "language": ["en"],
        "license": licence["identifier"],
        **(named if licence["identifier"] == "other" else {}),
        "annotations_creators": made or ["no-annotation"],
        "task_categories": ["image-classification", "zero-shot-image-classification"],
        "size_categories": [size_category(counts["rows"])],
        "tags": ["adversarial", "clip", "robustness", "interpretability", "synthetic", "advgen"],
        "configs": [
            {
                "config_name": config,
                "data_files": [{"split": SPLIT, "path": _pattern(config, build)}],
            }
            for config in build["configs"]
        ],
        "dataset_info": _dataset_info(build),
    }


def read_front_matter(card: str) -> dict[str, Any]:
    """The front matter of a card; empty where there is none.

    Raises:
        DataError: If it is no YAML mapping.
    """
    return _halves(card)[0]


def size_category(rows: int) -> str:
    """What the Hub calls a dataset of so many rows."""
    return next((name for bound, name in SIZES if rows < bound), "1M<n<10M")


def _dataset_info(build: Mapping[str, Any]) -> Any:
    columns = features()._to_yaml_list()
    infos = []
    for config, facts in build["configs"].items():
        size = sum(build["files"][path]["bytes"] for path in facts["files"])
        split = {"name": SPLIT, "num_bytes": facts["image_bytes"], "num_examples": facts["rows"]}
        infos.append(
            {
                "config_name": config,
                "features": columns,
                "splits": [split],
                "download_size": size,
                "dataset_size": facts["image_bytes"],
            }
        )
    return infos[0] if len(infos) == 1 else infos


def _pattern(config: str, build: Mapping[str, Any]) -> str:
    folder = f"data/{config}" if build["settings"]["per_pair"] else "data"
    return f"{folder}/{SPLIT}-*"


def _context(build: Mapping[str, Any]) -> dict[str, Any]:
    counts, settings = build["counts"], build["settings"]
    verified_by = [f"{name} ({count})" for name, count in counts["verified_by"].items()]
    dropped = [f"{count} {reason}" for reason, count in counts["dropped"].items()]
    return {
        **settings,
        "name": build["name"],
        "rows": counts["rows"],
        "fooled": sum(pair["released_fooled"] for pair in counts["pairs"].values()),
        "unverified": counts["rows"] - counts["released_statuses"].get("accepted", 0),
        "runs": build["runs"],
        "sandbox": any(
            run["manifest"]["synthesizer"]["name"] == "sandbox" for run in build["runs"]
        ),
        "pairs": [_pair_row(pair, row) for pair, row in counts["pairs"].items()],
        "statuses": counts["statuses"],
        "released_statuses": counts["released_statuses"],
        "verified_by": ", ".join(verified_by),
        "reviewed": counts["reviewed"],
        "mean_agreement": counts["mean_agreement"],
        "policy": build["policy"],
        "audit": _audit(counts["audit"]),
        "dropped": ", ".join(dropped),
        "first_config": next(iter(build["configs"])),
        "licence": build["licence"],
    }


def _audit(found: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The audit of judges that guess, as texts; None where none was heard."""
    if found is None:
        return None
    return {
        "reference": " and ".join(found["reference"]) or "nobody",
        "accepted": found["accepted"],
        "false": _share(found["false_accepts"]),
        "judges": {
            judge: {
                name: {side: _share(share) for side, share in sides.items()}
                for name, sides in table.items()
            }
            for judge, table in found["questions"].items()
        },
    }


def _share(share: Mapping[str, Any]) -> str:
    """`2 of 40, 5.0 % (1.4 to 16.5 %)`; `none checked` without images."""
    if not share["of"]:
        return "none checked"
    low, high = (100 * bound for bound in share["interval"])
    percent = f"{100 * share['rate']:.1f} % ({low:.1f} to {high:.1f} %)"
    return f"{share['count']} of {share['of']}, {percent}"


def _pair_row(pair: str, row: Mapping[str, int]) -> dict[str, Any]:
    true_class, _, target_class = pair.partition(":")
    found = {"rate": "none verified", "interval": "", **row}
    if row["verified"]:
        low, high = wilson_interval(row["fooled_verified"], row["verified"])
        found["rate"] = f"{100 * row['fooled_verified'] / row['verified']:.1f} %"
        found["interval"] = f"{100 * low:.1f} to {100 * high:.1f} %"
    return {**found, "true_class": true_class, "target_class": target_class}


@functools.cache
def _template() -> Template:
    environment = Environment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["cell"] = _cell
    source = resources.files("advgen.dataset").joinpath("card.md.j2").read_text(encoding="utf-8")
    return environment.from_string(source)


def _cell(text: object) -> str:
    """A text that stays inside its cell of a Markdown table."""
    flat = " ".join(str(text).split())
    for mark, safe in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("|", "\\|")):
        flat = flat.replace(mark, safe)
    return flat


def _halves(card: str) -> tuple[dict[str, Any], str]:
    """Front matter and text of a card; a card without front matter is text alone."""
    import yaml
    from huggingface_hub import DatasetCard

    if not card.lstrip().startswith("---"):
        return {}, card
    try:
        found = DatasetCard(card, ignore_metadata_errors=True)
    except (ValueError, yaml.YAMLError) as error:
        raise DataError(f"the front matter of the card cannot be read: {error}; mend it") from error
    return found.data.to_dict(), found.text


def _parts(text: str) -> tuple[str, str, str]:
    """What stands above, between and below the markers; all is above where there are none."""
    marks = text.count(BEGIN), text.count(END)
    if marks == (0, 0):
        return text.strip(), "", ""
    if marks != (1, 1) or text.index(BEGIN) > text.index(END):
        raise DataError(
            "the card must have each of the two marker lines once, in order; restore them, or move"
            " the card away and build again"
        )
    above, _, rest = text.partition(BEGIN)
    body, _, below = rest.partition(END)
    return above.strip(), body.strip(), below.strip()


def _both(old: str, new: str) -> str:
    """Both texts, or the one that holds the other."""
    if new in old:
        return old
    return new if old in new else f"{old}\n\n{new}"


def _list(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def _slug(name: str) -> str:
    """The Hub's form of a licence name: lower case, words joined by dashes."""
    kept = "".join(letter if letter.isalnum() or letter in ".+" else " " for letter in name.lower())
    return "-".join(kept.split())
