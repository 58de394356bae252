import pytest
import torch

from advgen.lens import directions_cached
from advgen.lens.cache import preprocess_fingerprint
from advgen.models import OpenClipModel
from advgen.store import ArtifactStore


class Source:
    """Batches that count how often they were iterated over."""

    def __init__(self, pixels):
        self.pixels, self.passes = pixels, 0

    def __call__(self):
        self.passes += 1
        return self.pixels.split(10)


@pytest.fixture
def source(many_pixels):
    return Source(many_pixels)


@pytest.fixture
def ask(tmp_path, plain_clip, source):
    """Ask for directions with some settings changed; returns (directions, reasons)."""

    def ask(clip=plain_clip, **changed):
        reasons = []
        settings = {"image_set_fingerprint": "photos", "layers": [2, 0], "top_images": 10}
        store = ArtifactStore(tmp_path)
        found = directions_cached(
            store, clip, source, on_rebuild=reasons.append, **{**settings, **changed}
        )
        return found, reasons

    return ask


def test_second_time_needs_no_pass(ask, source):
    first, _ = ask()
    second, reasons = ask(layers=[0, 2])
    assert source.passes == 1 and not reasons
    assert list(first) == [2, 0] and list(second) == [0, 2]
    for layer, directions in first.items():
        for name, tensor in directions.to_tensors().items():
            assert torch.equal(second[layer].to_tensors()[name], tensor)


def test_only_missing_layers_are_computed(ask, source, tmp_path):
    ask(layers=[2])
    found, _ = ask(layers=[2, 1])
    assert source.passes == 2 and set(found) == {1, 2}
    assert len(list(tmp_path.rglob("*.safetensors"))) == 2


def test_truncated_artifact_is_rebuilt_with_a_reason(ask, source, tmp_path):
    first, _ = ask(layers=[2])
    (path,) = tmp_path.rglob("*.safetensors")
    path.write_bytes(path.read_bytes()[:-7])
    again, reasons = ask(layers=[2])
    assert source.passes == 2
    assert len(reasons) == 1 and "truncated" in reasons[0] and path.name in reasons[0]
    assert torch.equal(first[2].direction, again[2].direction)
    assert ask(layers=[2])[1] == []


@pytest.mark.parametrize(
    "changed",
    [
        {"image_set_fingerprint": "others"},
        {"treatment": "centered"},
        {"scale": "unit"},
        {"top_images": 11},
    ],
)
def test_other_settings_are_not_mixed_up(ask, source, changed):
    ask()
    ask(**changed)
    assert source.passes == 2


def test_other_weights_or_preprocessing_are_not_mixed_up(ask, source, make_model, plain_clip):
    ask()
    ask(clip=OpenClipModel(make_model(seed=5)))
    assert source.passes == 2
    darker = OpenClipModel(make_model(), preprocess=lambda image: plain_clip.preprocess(image) / 2)
    assert darker.weights_sha256 == plain_clip.weights_sha256
    assert preprocess_fingerprint(darker) != preprocess_fingerprint(plain_clip)
    ask(clip=darker)
    assert source.passes == 3


def test_batches_may_be_a_plain_list(tmp_path, plain_clip, many_pixels):
    store = ArtifactStore(tmp_path)
    found = directions_cached(
        store, plain_clip, [many_pixels], image_set_fingerprint="x", layers=[1]
    )
    assert found[1].direction.shape == (36, 10)
