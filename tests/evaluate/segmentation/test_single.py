from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from advgen.evaluate.segmentation.geometry import SIDE, Box
from advgen.evaluate.segmentation.metrics import scaled
from advgen.evaluate.segmentation.single import laid_back, segment_image, upright_image
from advgen.models import encode_classes, load_clip


def test_over_a_whole_image_it_is_torchs_own_resizing() -> None:
    heat = torch.rand(5, 7, dtype=torch.float64)
    found, seen = laid_back(heat, Box(0.0, 0.0, 91.0, 53.0), (91, 53))
    large = F.interpolate(heat[None, None], size=(53, 91), mode="bilinear")[0, 0]
    expected = (large - large.min()) / (large.max() - large.min())
    assert seen.all()
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=0)
    square, _ = laid_back(heat, Box(0.0, 0.0, float(SIDE), float(SIDE)), (SIDE, SIDE))
    torch.testing.assert_close(square, scaled(heat), atol=1e-12, rtol=0)


def test_pixels_outside_the_box_are_not_seen() -> None:
    found, seen = laid_back(torch.rand(4, 4), Box(10.0, 0.0, 30.0, 20.0), (40, 20))
    assert seen[:, 10:30].all()
    assert not seen[:, :10].any()
    assert not seen[:, 30:].any()
    assert bool((found.isnan() == ~torch.from_numpy(seen)).all())
    assert float(found[:, 10:30].max()) == 1.0


def test_a_constant_map_stays_in_the_middle() -> None:
    found, _ = laid_back(torch.full((4, 4), 0.1), Box(0.0, 0.0, 9.0, 9.0), (9, 9))
    assert bool((found == 0.5).all())


def test_nan_is_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        laid_back(torch.full((2, 2), float("nan")), Box(0.0, 0.0, 9.0, 9.0), (9, 9))


def test_an_image_is_segmented_at_its_own_size(tiny_clip, redness) -> None:
    clip = load_clip(str(tiny_clip))
    pixels = np.full((60, 100, 3), [30, 90, 160], dtype=np.uint8)
    pixels[20:40, 40:70] = [220, 40, 40]
    pixels[:, :15] = [220, 40, 40]  # red, too, but the model looks at the middle only
    embedding = encode_classes(clip, ["dog"])[0]
    found = segment_image(clip, redness(), Image.fromarray(pixels), embedding)
    truth = np.zeros((60, 100), dtype=bool)
    truth[20:40, 40:70] = True
    assert found.mask.shape == (60, 100)
    assert (found.mask & truth).sum() / (found.mask | truth).sum() > 0.6
    assert not found.mask[:, :20].any()
    assert bool(found.heatmap[:, :19].isnan().all())
    image = clip.encode_image(clip.preprocess(Image.fromarray(pixels))[None])[0]
    assert found.cosine == pytest.approx(float(image @ embedding), abs=1e-6)
    wider = segment_image(clip, redness(), Image.fromarray(pixels), embedding, threshold="mean")
    assert wider.mask.sum() != found.mask.sum()


def test_an_image_is_read_as_a_viewer_shows_it(tmp_path: Path) -> None:
    levels = np.arange(24, dtype=np.uint8).reshape(4, 6) * 10
    shown = Image.fromarray(levels)
    shown.save(tmp_path / "eight.png")
    Image.fromarray(levels.astype(np.uint16) * 257).save(tmp_path / "sixteen.png")
    turned = Image.Exif()
    turned[0x0112] = 6  # to be turned by a quarter to the right
    shown.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.png", exif=turned)
    clear = Image.merge("LA", (shown, Image.new("L", shown.size, 0)))
    clear.save(tmp_path / "clear.png")
    for name in ("eight", "sixteen", "turned", "clear"):
        found = upright_image(tmp_path / f"{name}.png")
        assert (found.mode, found.size) == ("RGB", (6, 4)), name
        np.testing.assert_array_equal(np.asarray(found)[..., 1], levels, err_msg=name)
