r"""A webdataset that CLIP_benchmark evaluates zero-shot classification on.

    clip_benchmark eval --dataset wds/NAME --dataset_root DIR --task zeroshot_classification \
        --pretrained_model ViT-B-32-quickgelu,openai

The layout is that of `clip_benchmark.webdataset_builder`; `samples.jsonl` says which row a sample
is.
"""

from __future__ import annotations

import io
import itertools
import json
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter
from pathlib import Path

from advgen.english import with_article
from advgen.errors import DataError
from advgen.exports.files import write_file
from advgen.exports.names import image_suffix, safe_stem
from advgen.exports.protocol import ExportOptions
from advgen.exports.source import Row, Source

_ARTICLE = "{article} {noun}"
_NAME = "\0"
DEFAULT_PROMPTS = ("a photo of {article} {noun}.",)


class ClipBenchmark:
    """`classnames.txt`, `zeroshot_classification_templates.txt` and `test/N.tar`.

    The label is the true class; the classes are all true and target classes of the rows, so with
    one pair (or `by_pair`) the task is the binary one that the attack is scored on.
    """

    name = "clip-benchmark"
    extra = None
    reads_runs = False

    def export(self, built: Source, out: Path, options: ExportOptions) -> list[Path]:
        """See `Exporter.export`; with `by_pair` one folder per pair."""
        if not options.by_pair:
            return _write(built, out, options)
        files = []
        for pair in built.found_pairs():
            files += _write(built.only([pair]), out / safe_stem(pair.slug), options)
        return files


def class_lines(classes: Sequence[str], templates: Sequence[str]) -> tuple[list[str], list[str]]:
    """Class names and templates for CLIP_benchmark that give the texts of `fill_template`.

    Its templates know `{c}` only, the same for all classes. Where the classes want the same
    article it goes into the template, otherwise into the class names.

    Args:
        classes: Class names.
        templates: Prompts with `{article} {noun}`, `{noun}` or `{}`.

    Returns:
        Lines of `classnames.txt` and of `zeroshot_classification_templates.txt`.

    Raises:
        DataError: If a class is nameless or two read the same, or articles differ and a template
            wants the bare noun beside one that wants the article.
    """
    names = [" ".join(name.split()) for name in classes]
    if not all(names) or len(set(names)) != len(names):
        raise DataError("the classes need names that are not empty and differ")
    with_articles = [with_article(name) for name in names]
    fronts = {full.removesuffix(name) for full, name in zip(with_articles, names, strict=True)}
    wants = [_ARTICLE in template for template in templates]
    if len(fronts) == 1:
        front = fronts.pop()
        return names, [_template(text, front) for text in templates]
    if all(wants):
        return with_articles, [_template(text, "") for text in templates]
    if not any(wants):
        return names, [_template(text, "") for text in templates]
    raise DataError(
        "CLIP_benchmark cannot say 'a' for one class and 'an' for another where other templates "
        "have no article; export with templates of one kind"
    )


def _template(text: str, front: str) -> str:
    marked = text.replace(_ARTICLE, front + _NAME).replace("{noun}", _NAME).replace("{}", _NAME)
    literal = marked.replace("{", "{{").replace("}", "}}")
    return " ".join(literal.split()).replace(_NAME, "{c}")


def _write(built: Source, out: Path, options: ExportOptions) -> list[Path]:
    classes = built.classes()
    names, templates = class_lines(classes, options.templates or _prompts(built))
    files = [
        write_file(out / "classnames.txt", "".join(f"{name}\n" for name in names)),
        write_file(
            out / "zeroshot_classification_templates.txt",
            "".join(f"{template}\n" for template in templates),
        ),
    ]
    label = {name: number for number, name in enumerate(classes)}
    shards, index, number = [], out / "samples.jsonl", 0
    (out / "test").mkdir()
    with open(index, "w", encoding="utf-8", newline="\n") as lines:
        for shard, group in itertools.groupby(_by_shard(built.rows(), options), itemgetter(0)):
            shards.append(out / "test" / f"{shard}.tar")
            with tarfile.open(shards[-1], "w", format=tarfile.USTAR_FORMAT) as tar:
                for _shard, row in group:
                    key = f"s{number:07d}"
                    _add(tar, f"{key}.{image_suffix(row.image)}", row.image)
                    _add(tar, f"{key}.cls", str(label[row.true_class]).encode())
                    lines.write(_index_line(key, shards[-1].name, row))
                    number += 1
    count = write_file(out / "test" / "nshards.txt", f"{len(shards)}\n")
    return [*files, index, count, *shards]


def _prompts(built: Source) -> tuple[str, ...]:
    """The class prompts that all rows were scored with, the paper's where nothing is known."""
    if len(built.prompts) > 1:
        raise DataError(
            f"the runs in {built.root} were scored with different class prompts; choose: --template"
        )
    return (built.prompts[0] if built.prompts else ()) or DEFAULT_PROMPTS


def _by_shard(rows: Iterable[Row], options: ExportOptions) -> Iterator[tuple[int, Row]]:
    shard = count = size = 0
    for row in rows:
        full = count >= options.shard_images or size + len(row.image) > options.shard_bytes
        if count and full:
            shard, count, size = shard + 1, 0, 0
        count, size = count + 1, size + len(row.image)
        yield shard, row


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    entry.mode = 0o644
    tar.addfile(entry, io.BytesIO(data))


def _index_line(key: str, shard: str, row: Row) -> str:
    values = {"key": key, "shard": shard, "id": row.id, "sha256": row.sha256}
    values |= {"true_class": row.true_class, "target_class": row.target_class}
    return json.dumps(values, ensure_ascii=False) + "\n"
