"""Rows, results and words of a small run, and a reader of the page that is made of them."""

import dataclasses
import io
import random
from html.parser import HTMLParser

import numpy as np
from PIL import Image

from advgen.records import ClassPair, DroppedWord, MinedWord, Neuron, NeuronShare, Sample, WordList
from advgen.report import ReportData
from advgen.scoring import success_rate

BLANK = {"str": "", "int": 0, "float": 0.0, "float | None": 0.0, "bool": False}
BLANK["tuple[str, ...]"] = ()
EMPTY = {field.name: BLANK[str(field.type)] for field in dataclasses.fields(Sample)}
METHODS = ("second-order", "random")
VOID = {"meta", "img", "input", "br", "link", "hr"}


def sample(number: int, margin: float = 0.1, verified: bool = True, **changes) -> Sample:
    values = {
        "id": f"s{number:03d}",
        "true_class": "bird",
        "target_class": "frog",
        "method": "second-order",
        "description": "A bird near a mossy pond with mushrooms",
        "words": ("mossy", "mushroom"),
        "undrawn": ("mossy",),
        "attacked_model": "sandbox-a",
        "weights_sha256": "9f2c4e81ab" * 6,
        "margin": margin,
        "fooled": margin > 0,
        "verified": verified,
        "path": f"images/{number}.png",
    }
    return Sample(**{**EMPTY, **values, **changes})


def samples(count: int = 32) -> list[Sample]:
    rng = random.Random(5)
    return [
        sample(
            number,
            rng.gauss(-0.01, 0.04),
            rng.random() < 0.8,
            method=METHODS[number % 2],
            repeat=number // 2 % 2,
        )
        for number in range(count)
    ]


def results(rows: list[Sample]) -> list[dict]:
    table = []
    for key in sorted(
        {(row.method, row.repeat) for row in rows}, key=lambda k: (k[0] == "random", k)
    ):
        rate = success_rate(row for row in rows if (row.method, row.repeat) == key)
        table.append(
            {
                "pair": "bird:frog",
                "method": key[0],
                "repeat": key[1],
                **{f.name: getattr(rate, f.name) for f in dataclasses.fields(rate)},
                "attack_success_rate": rate.attack_success_rate,
                "interval": rate.interval,
            }
        )
    return table


def words(method: str = "second-order", repeat: int = 0, score: float = 0.5) -> WordList:
    shares = tuple(NeuronShare(Neuron(3, index), 0.01 * index) for index in range(8))
    kept = (MinedWord("pond", score, shares), MinedWord("mossy", 0.2, shares[:1]))
    dropped = (DroppedWord("toad", 0.6, "synonym_of_target"),)
    return WordList(ClassPair("bird", "frog"), method, repeat, kept, dropped)


def data(rows: list[Sample] | None = None, **changes) -> ReportData:
    rows = samples() if rows is None else rows
    manifest = {
        "seed": 7,
        "versions": {"advgen": "0.1.0", "torch": "2.15.0"},
        "attacked_model": {"name": "sandbox-a", "weights_sha256": "9f2c4e81ab" * 6},
    }
    values = {
        "title": "bird to frog",
        "config": {"methods": list(METHODS)},
        "manifest": manifest,
        "words": [words()],
        "samples": rows,
        "results": results(rows),
    }
    return ReportData(**{**values, **changes})


def png(row: Sample, side: int = 128) -> bytes:
    noise = np.random.default_rng(int(row.id[1:])).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).resize((side, side), Image.Resampling.NEAREST).save(buffer, "PNG")
    return buffer.getvalue()


class Page(HTMLParser):
    """Collects elements and text, and checks that every element is closed by its own tag."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.open[-1:] not in (["style"], ["script"]):
            self.text += data

    def all(self, tag: str, class_name: str = "") -> list[dict[str, str | None]]:
        return [
            attrs
            for name, attrs in self.elements
            if name == tag and (not class_name or class_name in (attrs.get("class") or "").split())
        ]
