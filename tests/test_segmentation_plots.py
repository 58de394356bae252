import numpy as np
import pytest
import torch
from PIL import Image

from advgen.evaluate.segmentation.geometry import Box
from advgen.evaluate.segmentation.masksets import MaskedImage
from advgen.evaluate.segmentation.walk import Example
from advgen.segmentation_plots import examples_figure, heat_overlay, heat_picture, mask_picture


def test_an_overlay_goes_from_blue_to_yellow_and_is_dark_where_nothing_is_seen() -> None:
    image = Image.new("RGB", (3, 2), (200, 200, 200))
    heat = np.array([[0.0, 1.0, np.nan], [0.0, 1.0, np.nan]])
    low, high, unseen = np.asarray(heat_overlay(image, heat)).astype(int)[0]
    assert low[2] > low[0]
    assert high[0] > high[2]
    assert tuple(unseen) == (70, 70, 70)


def test_the_bare_heat_map_and_mask_keep_their_values() -> None:
    heat = heat_picture(np.array([[0.0, 0.5, np.nan]]))
    assert heat.mode == "LA"
    assert np.asarray(heat)[0].tolist() == [[0, 255], [128, 255], [0, 0]]
    assert np.asarray(mask_picture(np.array([[True, False]]))).tolist() == [[255, 0]]


def example(index: int) -> Example:
    mask = np.zeros((20, 30), dtype=bool)
    mask[5:10, 10:20] = True
    item = MaskedImage(Image.new("RGB", (30, 20), "navy"), mask, "dog")
    return Example(index, item, "dog", Box(5.0, 0.0, 25.0, 20.0), {"a": torch.rand(4, 4)})


def test_examples_stand_in_rows_and_methods_in_columns() -> None:
    figure = examples_figure([example(0), example(1)], ["a"])
    titles = [ax.get_title() for ax in figure.axes]
    assert titles == ["image, mask", "a", "", ""]
    assert [ax.get_ylabel() for ax in figure.axes] == ["dog", "", "dog", ""]
    assert all(ax.collections for ax in figure.axes), "every picture has the mask's outline"
    with pytest.raises(ValueError, match="at least one example"):
        examples_figure([], ["a"])
