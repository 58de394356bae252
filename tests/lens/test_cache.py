import copy
import json
import threading

import pytest
import torch

from advgen.lens import Budget, directions_cached
from advgen.lens.cache import preprocess_fingerprint
from advgen.models import OpenClipModel
from advgen.store import ArtifactStore

EXACT = Budget(dtype=torch.float64)
ON_DISK = Budget(memory=0, dtype=torch.float64)


class Shares:
    """One of several processes, as threads of this one."""

    def __init__(self, rank, count, barrier):
        self.rank, self.count, self.wait = rank, count, barrier.wait


def passes(source) -> float:
    return source.images.reads / len(source.images)


@pytest.fixture
def source(make_source):
    return make_source(broken=(8,))


@pytest.fixture
def ask(tmp_path, plain_clip, source):
    """Ask for directions with some settings changed; returns (directions, reasons)."""

    def ask(clip=plain_clip, **changed):
        reasons = []
        settings = {"source": source, "layers": [2, 0], "top_images": 10, "budget": EXACT}
        settings = {**settings, **changed}
        store = ArtifactStore(tmp_path)
        found = directions_cached(store, clip, note=reasons.append, **settings)
        return found, [reason for reason in reasons if "unreadable" not in reason]

    return ask


def test_second_time_needs_no_pass(ask, source):
    first, _ = ask()
    second, reasons = ask(layers=[0, 2])
    assert passes(source) == 1 and not reasons
    assert list(first) == [2, 0] and list(second) == [0, 2]
    for layer, directions in first.items():
        for name, tensor in directions.to_tensors().items():
            assert torch.equal(second[layer].to_tensors()[name], tensor)


def test_only_missing_layers_are_computed(ask, source, tmp_path):
    ask(layers=[2])
    found, _ = ask(layers=[2, 1])
    assert passes(source) == 2 and set(found) == {1, 2}
    assert len(list(tmp_path.rglob("*.safetensors"))) == 2


def test_truncated_artifact_is_rebuilt_with_a_reason(ask, source, tmp_path):
    first, _ = ask(layers=[2])
    (path,) = tmp_path.rglob("*.safetensors")
    path.write_bytes(path.read_bytes()[:-7])
    again, reasons = ask(layers=[2])
    assert passes(source) == 2
    assert len(reasons) == 1 and "truncated" in reasons[0] and path.name in reasons[0]
    assert torch.equal(first[2].direction, again[2].direction)
    assert ask(layers=[2])[1] == []


@pytest.mark.parametrize(
    "changed",
    [
        {"treatment": "centered"},
        {"scale": "unit"},
        {"top_images": 11},
    ],
)
def test_other_settings_are_not_mixed_up(ask, source, changed):
    ask()
    ask(**changed)
    assert passes(source) == 2


def test_other_weights_or_preprocessing_are_not_mixed_up(ask, source, make_model, plain_clip):
    ask()
    ask(clip=OpenClipModel(make_model(seed=5)))
    assert passes(source) == 2
    darker = OpenClipModel(make_model(), preprocess=lambda image: plain_clip.preprocess(image) / 2)
    assert darker.weights_sha256 == plain_clip.weights_sha256
    assert preprocess_fingerprint(darker) != preprocess_fingerprint(plain_clip)
    ask(clip=darker)
    assert passes(source) == 3


def test_other_images_are_not_mixed_up(ask, make_source):
    ask()
    other = make_source(36)
    ask(source=other)
    assert passes(other) == 1


def test_skipped_images_are_told_and_kept_in_the_manifest(tmp_path, plain_clip, source):
    notes, store = [], ArtifactStore(tmp_path)
    directions_cached(store, plain_clip, source, layers=[1], note=notes.append, top_images=36)
    assert notes == [
        "skipped an unreadable image: picture 8 (it is torn)",
        "1 unreadable images were left out of the neuron directions",
    ]
    (manifest,) = tmp_path.rglob("*.json")
    skipped = json.loads(manifest.read_text())["extra"]["skipped"]
    assert skipped == [{"index": 8, "name": "picture 8", "reason": "it is torn"}]


@pytest.mark.parametrize(
    "budget",
    [Budget(memory=0, dtype=torch.float64), Budget(memory=0, disk=0, dtype=torch.float64)],
    ids=["scratch files", "two passes"],
)
def test_the_way_does_not_matter(tmp_path, plain_clip, source, budget):
    settings = {"layers": [2, 0], "top_images": 10, "note": lambda text: None}
    expected = directions_cached(
        ArtifactStore(tmp_path / "a"), plain_clip, source, budget=EXACT, **settings
    )
    store = ArtifactStore(tmp_path / "b")
    found = directions_cached(store, plain_clip, source, budget=budget, **settings)
    assert not list((tmp_path / "b").glob("scratch/*"))
    for layer, directions in expected.items():
        assert torch.allclose(found[layer].direction, directions.direction, atol=1e-9)
        assert torch.equal(found[layer].top_images, directions.top_images)


def test_several_processes_share_the_layers(tmp_path, plain_clip, source, make_source):
    settings = {"layers": [2, 0], "top_images": 10, "note": lambda text: None}
    expected = directions_cached(
        ArtifactStore(tmp_path / "a"), plain_clip, source, budget=ON_DISK, **settings
    )
    barrier, found = threading.Barrier(2, timeout=20), {}

    def work(rank):
        clip = OpenClipModel(copy.deepcopy(plain_clip.model))
        store, shares = ArtifactStore(tmp_path / "b"), Shares(rank, 2, barrier)
        found[rank] = directions_cached(
            store, clip, make_source(broken=(8,)), budget=EXACT, processes=shares, **settings
        )

    threads = [threading.Thread(target=work, args=(rank,)) for rank in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for rank in range(2):
        for layer, directions in expected.items():
            for name, tensor in directions.to_tensors().items():
                assert torch.equal(found[rank][layer].to_tensors()[name], tensor), name
    files = {path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*.safetensors")}
    assert len(files) == 2 and not list((tmp_path / "b").glob("scratch/*"))
    for file in files:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
