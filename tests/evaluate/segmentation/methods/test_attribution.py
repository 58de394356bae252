import pytest
import torch
from doubles.towers import SCALE, batch, segmenter_inputs, small_clip
from torch.testing import assert_close

from advgen.errors import ConfigError, ModelError
from advgen.evaluate.segmentation import Segmenter, SegmenterInputs, open_segmenter
from advgen.evaluate.segmentation.methods.attribution import class_score

BLIND = ("raw-attention", "rollout")
LOOKING = ("gradcam", "lrp", "partial-lrp", "chefer", "legrad")
METHODS = BLIND + LOOKING


@pytest.mark.parametrize("name", METHODS)
def test_maps_of_a_batch_are_those_of_its_images(name):
    method = open_segmenter(name, segmenter_inputs(image_size=(16, 32)))
    pixels, classes = batch(3, 16, 32)
    maps = method.heatmaps(pixels, classes)
    assert isinstance(method, Segmenter)
    assert (maps.shape, maps.dtype, maps.device.type) == ((3, 2, 4), torch.float32, "cpu")
    assert maps.isfinite().all() and maps.std(dim=(1, 2)).max() > 0
    assert not maps.requires_grad
    alone = [method.heatmaps(pixels[i : i + 1], classes[i : i + 1])[0] for i in range(3)]
    for i in range(3):
        room = 1e-5 * maps[i].abs().max().item()
        assert_close(alone[i], maps[i], rtol=1e-5, atol=room)
    assert torch.equal(method.heatmaps(pixels, classes), maps)


@pytest.mark.parametrize("name", METHODS)
def test_who_looks_at_the_class(name):
    method = open_segmenter(name, segmenter_inputs())
    pixels, classes = batch()
    same = torch.equal(method.heatmaps(pixels, classes), method.heatmaps(pixels, -classes))
    assert same == (name in BLIND)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_float32_and_callers_without_gradients(name, mode):
    clip = small_clip()
    clip.model.float()
    pixels, classes = batch()
    wide = open_segmenter(name, segmenter_inputs()).heatmaps(pixels, classes)
    method = open_segmenter(name, SegmenterInputs(clip, lambda layers: {}))
    with mode():
        maps = method.heatmaps(pixels.float(), classes.float())
    room = 2e-3 * wide.abs().max().item()
    assert_close(maps, wide, rtol=2e-3, atol=room)
    assert all(weight.grad is None for weight in clip.model.parameters())


@pytest.mark.parametrize("name", METHODS)
def test_a_tower_without_a_class_token(name):
    inputs = segmenter_inputs(pool_type="avg")
    with pytest.raises(ModelError, match="class token"):
        open_segmenter(name, inputs)


def test_an_unknown_option():
    with pytest.raises(ConfigError, match="chefer"):
        open_segmenter("chefer", segmenter_inputs(), layers=2)


def test_the_score_is_the_logit_with_a_fixed_norm():
    inputs, (pixels, classes) = segmenter_inputs(), batch()
    found = inputs.clip.encode_image(pixels, normalize=False).requires_grad_()
    score = class_score(found, classes, SCALE)
    cosine = torch.cosine_similarity(found, classes, dim=-1)
    assert_close(score, inputs.clip.logit_scale * cosine, rtol=1e-6, atol=0)
    (gradient,) = torch.autograd.grad(score.sum(), found)
    norm = found.detach().norm(dim=-1, keepdim=True)
    assert_close(gradient, SCALE * classes / norm, rtol=1e-12, atol=0)
