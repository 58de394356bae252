import numpy as np
import pytest
import torch

from advgen.errors import ConfigError, DataError
from advgen.evaluate.segmentation.geometry import cut, seen_box, squashed
from advgen.evaluate.segmentation.metrics import Tally, scaled
from advgen.evaluate.segmentation.opening import lens_directions
from advgen.evaluate.segmentation.settings import SegmentationConfig, segmentation_preset
from advgen.evaluate.segmentation.walk import ClassTexts, segment_masks
from advgen.models import encode_classes, load_clip


@pytest.fixture(scope="module")
def clip(tiny_clip):
    return load_clip(str(tiny_clip))


@pytest.fixture
def config() -> SegmentationConfig:
    return SegmentationConfig(batch_size=3, methods=("rollout",))


def test_every_method_protocol_and_threshold_has_its_scores(clip, config, few_masks, redness):
    masks, right, wrong = few_masks(), redness(), redness(-1.0)
    found = segment_masks(masks, clip, {"right": right, "wrong": wrong}, config, keep=[2])
    assert masks.read == [0, 1, 2, 3], "each item is read once, whatever the number of methods"
    assert right.batches == wrong.batches == [2]
    assert found.images == 2
    assert [item.index for item in found.skipped] == [1, 3]
    assert found.skipped[0].reason == "broken"
    assert "class is not known" in found.skipped[1].reason
    assert not found.coincide
    assert len(found.rows) == 2 * 2 * 2
    for protocol in config.protocols:
        for threshold in config.thresholds:
            tally = Tally(threshold)
            for index in (0, 2):
                item = masks[index]
                box = seen_box(clip.preprocess, item.image.size)
                mask = squashed(item.mask) if protocol == "reference" else cut(item.mask, box)
                heat = redness().heatmaps(clip.preprocess(item.image)[None], None)[0]
                tally.add(scaled(heat), mask)
            expected, got = tally.scores(), found.row("right", protocol, threshold)
            assert (got.intersection == expected.intersection).all()
            assert (got.union == expected.union).all()
            np.testing.assert_allclose(got.precision, expected.precision)


def test_aligned_masks_fit_better_than_squashed_ones(clip, config, few_masks, redness):
    found = segment_masks(few_masks(), clip, {"right": redness()}, config)
    aligned = found.row("right", "aligned", "0.5")
    assert aligned.mean_iou > 0.8
    assert aligned.mean_iou > found.row("right", "reference", "0.5").mean_iou + 0.2


def test_protocols_coincide_on_square_images(clip, config, few_masks, redness):
    found = segment_masks(few_masks(size=(40, 40)), clip, {"right": redness()}, config)
    assert found.coincide
    first, second = (found.row("right", protocol, "mean") for protocol in config.protocols)
    assert (first.intersection == second.intersection).all()
    assert (first.precision == second.precision).all()


def test_scores_do_not_depend_on_the_batch(clip, few_masks, redness):
    results = [
        segment_masks(few_masks(), clip, {"right": redness()}, SegmentationConfig(batch_size=size))
        for size in (1, 4)
    ]
    for first, second in zip(results[0].rows, results[1].rows, strict=True):
        assert (first.scores.intersection == second.scores.intersection).all()
        np.testing.assert_allclose(first.scores.precision, second.scores.precision, atol=1e-6)


def test_examples_carry_what_a_picture_needs(clip, config, few_masks, redness):
    (example,) = segment_masks(
        few_masks(), clip, {"right": redness()}, config, keep=[1, 2]
    ).examples
    assert (example.index, example.asked) == (2, "cat")
    assert example.heatmaps["right"].shape == (8, 8)
    assert example.box == seen_box(clip.preprocess, (40, 20))


def test_methods_are_asked_for_the_true_class(clip, config, few_masks, redness):
    method = redness()
    segment_masks(few_masks(), clip, {"right": method}, config)
    expected = encode_classes(clip, ["dog", "cat"]).float()
    torch.testing.assert_close(method.classes[0], expected)


def test_predicted_classes_take_items_of_unknown_class(clip, few_masks, redness):
    method, masks = redness(), few_masks()
    config = SegmentationConfig(class_choice="predicted", batch_size=9, templates=("a {}",))
    found = segment_masks(masks, clip, {"right": method}, config)
    assert found.images == 3
    texts = encode_classes(clip, masks.classes, templates=("a {}",))
    items = [masks[index] for index in (0, 2, 3)]
    pixels = torch.stack([clip.preprocess(item.image) for item in items])
    best = (clip.encode_image(pixels) @ texts.T).argmax(dim=1)
    torch.testing.assert_close(method.classes[0], texts[best])
    right = [masks.classes[int(b)] == i.class_name for b, i in zip(best, items, strict=True)]
    assert found.predicted_right == np.mean(right[:2]), "the item without a class does not count"


def test_templates_are_the_sets_own_unless_others_are_given(clip, few_masks):
    masks = few_masks()
    assert ClassTexts(clip, masks).templates == ("a photo of {article} {noun}.",)
    masks.templates = ("x {}",)
    assert ClassTexts(clip, masks).templates == ("x {}",)
    assert ClassTexts(clip, masks, ["y {}"]).templates == ("y {}",)


def test_a_class_is_encoded_once(clip, few_masks, monkeypatch):
    texts, asked = ClassTexts(clip, few_masks()), []
    encode = type(clip).encode_text
    monkeypatch.setattr(
        type(clip), "encode_text", lambda self, t, **more: asked.append(t) or encode(self, t)
    )
    assert (texts.one("dog") == texts.one("dog")).all()
    assert len(asked) == 1


def test_a_set_without_a_readable_item_is_a_fault(clip, config, few_masks, redness):
    with pytest.raises(DataError, match="no item of few could be scored"):
        segment_masks(few_masks(names=(None,)), clip, {"right": redness()}, config)


def test_a_method_that_gives_nan_is_a_fault(clip, config, few_masks, redness):
    with pytest.raises(ValueError, match="finite"):
        segment_masks(few_masks(), clip, {"bad": redness(float("nan"))}, config)


def test_presets() -> None:
    assert segmentation_preset("sandbox", masks=None) == SegmentationConfig()
    paper = segmentation_preset("paper", masks="imagenet-seg:x", protocols=("aligned",))
    assert (paper.masks, paper.protocols, paper.class_choice) == (
        "imagenet-seg:x",
        ("aligned",),
        "predicted",
    )
    assert len(SegmentationConfig().methods) == 13


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"methods": ("rolout",)}, "did you mean rollout"),
        ({"methods": ()}, "name at least one method"),
        ({"protocols": ("aligned", "aligned")}, "each once"),
        ({"thresholds": ("0.4",)}, "unknown threshold '0.4'"),
        ({"class_choice": "any"}, "unknown class choice 'any'"),
        ({"batch_size": 0}, "batch_size"),
    ],
)
@pytest.mark.usefixtures("shapes_unchecked")
def test_wrong_settings_are_sentences(changes, message) -> None:
    with pytest.raises(ConfigError, match=message):
        SegmentationConfig(**changes)


def test_an_unknown_preset_is_a_sentence() -> None:
    with pytest.raises(ConfigError, match="unknown preset 'big'"):
        segmentation_preset("big")


@pytest.mark.usefixtures("shapes_unchecked")
def test_directions_of_a_layer_are_asked_for_once(monkeypatch, clip) -> None:
    asked = []

    def directions(config, *_rest):
        asked.append((config.images, config.layers))
        return dict.fromkeys(config.layers)

    monkeypatch.setattr("advgen.evaluate.segmentation.opening.neuron_directions", directions)
    give = lens_directions(clip, SegmentationConfig(lens_images="sandbox:9").lens, None, None)  # type: ignore[arg-type]
    assert list(give([2, 1])) == [2, 1]
    assert list(give([0, 1])) == [0, 1]
    assert asked == [("sandbox:9", (1, 2)), ("sandbox:9", (0,))]
