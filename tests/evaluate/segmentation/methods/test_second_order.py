import numpy as np
import pytest
import torch
from doubles.neurons import drawn_directions, inputs_with_neurons
from doubles.towers import batch, module_steps, small_clip, visual_of
from torch.testing import assert_close

from advgen.errors import ConfigError
from advgen.evaluate.segmentation import SegmenterInputs, open_segmenter
from advgen.evaluate.segmentation.methods.second_order import SecondOrder
from advgen.lens import SecondOrderLens
from advgen.models import OpenClipModel, encode_classes

LAYERS, IMAGES = (0, 1, 2), 3
OPTIONS = [
    {},
    {"neurons": 30, "layers": (2, 0)},
    {"signed": True, "neurons": 20},
    {"choice": "positive", "neurons": 20},
    {"choice": "variance", "neurons": 20},
    {"weights": "alignment", "signed": True},
    {"weights": "variance", "neurons": 20},
    {"weights": "both", "rectify": "positive"},
    {"scale": "deviation", "rectify": "magnitude"},
    {"baseline": "empty", "rectify": "magnitude", "neurons": 20},
    {"maps": "effect"},
    {"maps": "effect", "neurons": 20, "choice": "positive"},
    {"maps": "effect", "layers": (1,), "rectify": "positive", "scale": "deviation"},
    {"maps": "effect", "layers": (0, 2), "rectify": "magnitude", "baseline": "empty"},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("tower", [{}, {"quick_gelu": True, "ls_init_value": 0.5}], ids=str)
def test_neuron_by_neuron(tower, options):
    inputs, (pixels, classes) = inputs_with_neurons(layers=4, **tower), batch(IMAGES)
    classes[2] = classes[0]
    steps = module_steps(visual_of(inputs), pixels)
    empty = module_steps(visual_of(inputs), torch.zeros_like(pixels[:1]))
    found = SecondOrder(inputs, **options).patches(pixels, classes).numpy()
    for image in range(IMAGES):
        expected = _one_image(
            visual_of(inputs), steps, empty, image, classes[image].numpy(), options
        )
        np.testing.assert_allclose(found[image], expected, rtol=1e-9, atol=1e-11)


def _one_image(visual, steps, empty, image, wanted, options):
    """The map of one image from the formula, with numpy, a neuron at a time."""
    rows = []
    for layer in sorted(options.get("layers", LAYERS)):
        directions = drawn_directions(24, 6, layer)
        for n in range(24):
            alignment = float(directions.direction[n].double().numpy() @ wanted)
            rows.append((layer, n, alignment, float(directions.explained_variance[n])))
    keys = {
        "magnitude": lambda row: abs(row[2]),
        "positive": lambda row: row[2],
        "variance": lambda row: abs(row[2]) * row[3],
    }
    rows.sort(key=keys[options.get("choice", "magnitude")], reverse=True)
    total, count, strengths = np.zeros(9), 0, {}
    if options.get("maps") == "effect":
        strengths = {at: _strengths(visual, steps, image, at, wanted) for at in LAYERS}
    for layer, n, alignment, explained in rows[: options.get("neurons", 200)]:
        values = steps[layer].activations[image, 1:, n].numpy()
        if options.get("baseline") == "empty":
            values = values - empty[layer].activations[0, 1:, n].numpy()
        if options.get("maps") == "effect":
            values = values * strengths[layer][n]
        rectify = options.get("rectify")
        values = np.maximum(values, 0) if rectify == "positive" else values
        values = np.abs(values) if rectify == "magnitude" else values
        values = values / (values.std() or 1) if options.get("scale") else values
        weights = options.get("weights", "none")
        values = values * abs(alignment) if weights in ("alignment", "both") else values
        values = values * explained if weights in ("variance", "both") else values
        values = values * np.sign(alignment) if options.get("signed") else values
        total, count = total + values, count + 1
    return total if options.get("maps") == "effect" else total / count


@torch.no_grad()
def _strengths(visual, steps, image, layer, wanted):
    """sum over later heads of a_i <P W_OV w_n, c> / (sigma_i sigma_post), neuron by patch."""
    blocks = visual.transformer.resblocks
    writes = blocks[layer].ls_2(blocks[layer].mlp.c_proj.weight.T)
    sigma_post = (steps[-1].leaving[image, 0].var(correction=0) + visual.ln_post.eps).sqrt()
    total = torch.zeros(24, 9, dtype=torch.float64)
    for later in range(layer + 1, len(blocks)):
        block, step = blocks[later], steps[later]
        sigma = (step.entering[image].var(dim=-1, correction=0) + block.ln_1.eps).sqrt()
        for head in range(2):
            part = slice(8 * head, 8 * head + 8)
            value = block.attn.in_proj_weight[32:][part]
            out = block.attn.out_proj.weight[:, part]
            moved = block.ls_1((block.ln_1.weight * writes) @ value.T @ out.T)
            seen = (visual.ln_post.weight * moved) @ visual.proj @ torch.from_numpy(wanted)
            rates = step.attention[image, head, 0, 1:] / sigma[1:] / sigma_post
            total += seen[:, None] * rates
    return total.numpy()


def test_the_default_layers_are_the_last_three_that_are_read():
    inputs, data = inputs_with_neurons(layers=12), batch(1)
    assert SecondOrder(inputs).layers == (8, 9, 10)
    same = SecondOrder(inputs, layers=(8, 9, 10)).patches(*data)
    assert torch.equal(SecondOrder(inputs).patches(*data), same)
    assert SecondOrder(inputs_with_neurons(layers=2)).layers == (0,)


@pytest.mark.parametrize(
    "tower",
    [
        {},
        {"pool_type": "avg"},
        {
            "attentional_pool": True,
            "attn_pooler_heads": 3,
            "attn_pooler_queries": 4,
            "output_tokens": True,
        },
    ],
    ids=str,
)
def test_shares_of_all_tokens_are_the_effect(tower):
    """Prefix tokens counted in, the shares of a layer's neurons add up to <sum_n phi_n(I), c>."""
    inputs, (pixels, classes) = inputs_with_neurons(**tower), batch()
    method = SecondOrder(inputs, layers=(0,), maps="effect")
    effects = SecondOrderLens(inputs.clip, (0,)).effects(pixels, 0).sum(dim=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(inputs.clip.vision), "prefix_tokens", 0)
        whole = method.patches(pixels, classes)
    assert whole.shape == (3, 10)
    assert_close(whole.sum(dim=1), (effects * classes).sum(dim=1), rtol=1e-9, atol=1e-11)


def test_contrast_chooses_and_reads_by_the_difference():
    clip = OpenClipModel(small_clip().model, tokenizer=lambda texts: _tokens(len(texts)))
    inputs, (pixels, classes) = inputs_with_neurons(clip), batch()
    mean = encode_classes(clip, ("cat", "deer")).mean(dim=0)
    options = {"neurons": 10, "weights": "alignment", "signed": True}
    found = SecondOrder(inputs, contrast=("cat", "deer"), **options).patches(pixels, classes)
    expected = SecondOrder(inputs, **options).patches(pixels, classes - mean)
    assert_close(found, expected, rtol=1e-10, atol=1e-12)


def _tokens(count):
    return torch.arange(1, 8 * count + 1).view(count, 8) % 64


def test_only_its_layers_are_asked_for():
    clip, asked = small_clip(layers=4), []

    def directions(layers):
        asked.append(tuple(layers))
        return {layer: drawn_directions(24, 6, layer) for layer in layers}

    SecondOrder(SegmenterInputs(clip, directions), layers=(2, 1))
    assert asked == [(1, 2)]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"layers": (2,)}, "layers must be from 0 to 1"),
        ({"layers": ()}, "layers must be from 0 to 1"),
        ({"layers": (-1,)}, "layers must be from 0 to 1"),
        ({"neurons": 0}, "at least 1"),
        ({"maps": "effect", "signed": True}, "leave out signed"),
        ({"maps": "effect", "weights": "both"}, "leave out signed"),
    ],
)
def test_options_that_cannot_be(options, words):
    with pytest.raises(ConfigError, match=words):
        SecondOrder(inputs_with_neurons(), **options)


@pytest.mark.usefixtures("shapes_unchecked")
@pytest.mark.parametrize("option", ["choice", "weights", "maps", "rectify", "scale", "baseline"])
def test_a_word_that_is_none_of_an_options(option):
    with pytest.raises(ConfigError, match=f"{option} must be one of .*; got 'most'"):
        open_segmenter("second-order", inputs_with_neurons(), **{option: "most"})


def test_one_layer_has_nothing_to_act_through():
    with pytest.raises(ConfigError, match="later attention layer"):
        SecondOrder(inputs_with_neurons(layers=1))
