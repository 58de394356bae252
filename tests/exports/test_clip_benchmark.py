"""The webdataset, read by webdataset and evaluated by clip_benchmark's own command line."""

import io
import json
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from advgen.errors import DataError
from advgen.exports import ExportOptions, export_dataset, open_source
from advgen.exports.clip_benchmark import class_lines
from advgen.models import encode_classes, load_clip
from advgen.models.text import fill_template
from advgen.sandbox.images import SandboxImages

PAPER = "a photo of {article} {noun}."


@pytest.mark.parametrize(
    ("classes", "templates", "names", "lines"),
    [
        (["dog", "deer"], [PAPER], ["dog", "deer"], ["a photo of a {c}."]),
        (["owl", "ant"], [PAPER, "{noun}"], ["owl", "ant"], ["a photo of an {c}.", "{c}"]),
        (["dog", "owl"], [PAPER], ["a dog", "an owl"], ["a photo of {c}."]),
        (["dog", "owl"], ["the {}"], ["dog", "owl"], ["the {c}"]),
        (["the dog", "dog"], [PAPER], ["the dog", "a dog"], ["a photo of {c}."]),
        ([" Käse\u2028{0} ", "b"], ["{x} {}"], ["Käse {0}", "b"], ["{{x}} {c}"]),
    ],
)
def test_class_lines_give_our_texts(classes, templates, names, lines):
    assert class_lines(classes, templates) == (names, lines)
    for name, given in zip(names, classes, strict=True):
        for line, template in zip(lines, templates, strict=True):
            assert line.format(c=name) == fill_template(template, " ".join(given.split()))


@pytest.mark.parametrize(
    ("classes", "templates", "message"),
    [
        (["dog", "owl"], [PAPER, "{noun}"], "templates of one kind"),
        (["dog", " "], [PAPER], "not empty"),
        (["dog", "dog "], [PAPER], "differ"),
    ],
)
def test_classes_that_do_not_fit(classes, templates, message):
    with pytest.raises(DataError, match=message):
        class_lines(classes, templates)


@pytest.mark.parametrize(
    ("options", "shards"),
    [
        (ExportOptions(), [5]),
        (ExportOptions(shard_images=2), [2, 2, 1]),
        (ExportOptions(shard_images=5), [5]),
        (ExportOptions(shard_bytes=1), [1] * 5),
        (ExportOptions(shard_bytes=170), [2, 2, 1]),
    ],
)
def test_shards(make_built, tmp_path, options, shards):
    source = open_source(make_built([{} for _ in range(5)]))
    images = [row.image for row in source.rows()]
    assert {len(image) for image in images} <= set(range(57, 86))  # two fit into 170 bytes
    export_dataset(source, "clip-benchmark", tmp_path / "out", options=options)
    folder = tmp_path / "out" / "test"
    assert (folder / "nshards.txt").read_text() == f"{len(shards)}\n"
    found, keys = [], []
    for number, size in enumerate(shards):
        with tarfile.open(folder / f"{number}.tar") as tar:
            names = tar.getnames()
            assert len(names) == 2 * size
            assert names[1::2] == [name.replace(".png", ".cls") for name in names[::2]]
            found += [tar.extractfile(name).read() for name in names[::2]]
            keys += [name.removesuffix(".png") for name in names[::2]]
    assert found == images
    assert keys == [f"s{number:07d}" for number in range(5)]
    lines = (tmp_path / "out" / "samples.jsonl").read_text().splitlines()
    assert [json.loads(line)["key"] for line in lines] == keys


def test_a_folder_per_pair_and_the_runs_prompts(make_built, tmp_path):
    rows = [{}, {"true_class": "owl", "target_class": "ant"}, {}]
    runs = [{"config": {"model": {"templates": ["{article} {noun}", "my {noun}"]}}}]
    source = open_source(make_built(rows, runs=runs))
    options = ExportOptions(by_pair=True)
    export_dataset(source, "clip-benchmark", tmp_path / "out", options=options)
    for pair, names, template in [
        ("dog-deer", "dog deer", "a {c}"),
        ("owl-ant", "owl ant", "an {c}"),
    ]:
        folder = tmp_path / "out" / pair
        assert (folder / "classnames.txt").read_text().split() == names.split()
        lines = (folder / "zeroshot_classification_templates.txt").read_text().splitlines()
        assert lines == [template, "my {c}"]
    other = {"config": {"model": {"templates": ["{noun}"]}}}
    mixed = open_source(make_built(rows, name="mixed", runs=[*runs, other]))
    with pytest.raises(DataError, match="different class prompts"):
        export_dataset(mixed, "clip-benchmark", tmp_path / "mixed-out", options=options)


@pytest.fixture
def drawn(make_built) -> Path:
    """Sandbox scenes of four classes, some of them taken for another one."""
    scenes = SandboxImages(1000, seed=5)
    classes = [scenes.classes[label] for label in scenes.labels]
    chosen = [name for name in scenes.classes if classes.count(name) >= 4][:4]
    rows = []
    for number, name in enumerate(classes):
        if name in chosen and len(rows) < 60:
            buffer = io.BytesIO()
            scenes[number].save(buffer, "PNG")
            other = chosen[(chosen.index(name) + 1) % len(chosen)]
            rows.append({"bytes": buffer.getvalue(), "true_class": name, "target_class": other})
    return make_built(rows)


def own_accuracy(source, clip) -> float:
    classes = source.classes()
    texts = encode_classes(clip, classes, templates=[PAPER])
    rows = list(source.rows())
    pixels = torch.stack([clip.preprocess(Image.open(io.BytesIO(row.image))) for row in rows])
    guessed = (clip.encode_image(pixels) @ texts.T).argmax(dim=1).tolist()
    right = [classes[guess] == row.true_class for guess, row in zip(guessed, rows, strict=True)]
    return sum(right) / len(right)


@pytest.mark.filterwarnings("ignore")  # of torch and webdataset, on how clip_benchmark calls them
def test_clip_benchmark_measures_what_we_measure(drawn, tmp_path, monkeypatch):
    benchmark = pytest.importorskip("clip_benchmark.cli")
    source, clip = open_source(drawn), load_clip("sandbox-a")
    export_dataset(source, "clip-benchmark", tmp_path / "out" / "mine")

    def load(model_type, model_name, pretrained, cache_dir, device):
        return clip.model, clip.preprocess, clip._tokenizer

    def one_number(value: object) -> float:
        return float(np.asarray(value).item())

    # The sandbox's word tokenizer is not one that open_clip finds by name, so only loading is ours.
    monkeypatch.setattr(benchmark, "load_clip", load)
    # It calls float() on an array of one number, which this numpy refuses.
    monkeypatch.setattr(benchmark.zeroshot_classification, "float", one_number, raising=False)
    result = tmp_path / "result.json"
    arguments = ["eval", "--dataset", "wds/mine", "--dataset_root", f"{tmp_path}/out/{{dataset}}"]
    arguments += ["--task", "zeroshot_classification", "--pretrained_model", "sandbox-a,none"]
    arguments += ["--output", str(result), "--no_amp", "--num_workers", "0", "--batch_size", "16"]
    monkeypatch.setattr(sys, "argv", ["clip_benchmark", *arguments])
    benchmark.main()
    measured, own = json.loads(result.read_text())["metrics"]["acc1"], own_accuracy(source, clip)
    assert measured == pytest.approx(own, abs=1e-6)
    assert 0.2 < own < 1  # neither chance nor all right: the labels matter
