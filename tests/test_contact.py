import dataclasses

import numpy as np
import pytest
from PIL import Image, ImageColor

from advgen.contact import MOST, best_first, contact_sheet
from advgen.errors import DataError
from advgen.plots import TARGET_COLOR
from advgen.records import Sample

BLANK = {"str": "", "int": 0, "float": 0.0, "float | None": 0.0, "bool": False}
BLANK["tuple[str, ...]"] = ()
EMPTY = {field.name: BLANK[str(field.type)] for field in dataclasses.fields(Sample)}


def sample(number: int, margin: float, verified: bool = True, **changes) -> Sample:
    values = {"id": f"s{number:03d}", "true_class": "dog", "target_class": "deer"}
    outcome = {"margin": margin, "fooled": margin > 0, "verified": verified}
    return Sample(**{**EMPTY, **values, **outcome, **changes})


def blue(_: Sample) -> Image.Image:
    return Image.new("RGB", (200, 200), (10, 20, 200))


def count(sheet: Image.Image, color: str | tuple[int, int, int]) -> int:
    rgb = ImageColor.getrgb(color) if isinstance(color, str) else color
    return int((np.asarray(sheet) == rgb).all(axis=2).sum())


def test_fooled_and_verified_come_first_then_the_margin_decides() -> None:
    rows = [sample(0, 0.9, False), sample(1, -0.1), sample(2, 0.1), sample(3, 0.2)]
    assert [row.id for row in best_first(rows)] == ["s003", "s002", "s000", "s001"]


def test_the_sheet_holds_the_best_images_in_a_grid() -> None:
    opened: list[str] = []

    def note(row: Sample) -> Image.Image:
        opened.append(row.id)
        return blue(row)

    rows = [sample(number, 0.001 * number - 0.03) for number in range(60)]
    sheet = contact_sheet(rows, note, columns=8, cell=96)
    assert len(opened) == MOST == 48
    assert opened[0] == "s059"
    assert 8 * 96 < sheet.width < 8 * 96 + 9 * 24
    assert 6 * 96 < sheet.height < 6 * (96 + 70) + 60
    painted = count(sheet, (10, 20, 200))
    assert 0.97 < painted / (48 * 90 * 90) <= 1.0


def test_only_images_that_are_both_have_the_target_frame() -> None:
    def framed(row: Sample) -> bool:
        sheet = contact_sheet([row], blue, cell=96)
        left = np.asarray(sheet)[68, 20:23]
        return bool((left == ImageColor.getrgb(TARGET_COLOR)).all())

    assert framed(sample(0, 0.1))
    assert not framed(sample(0, 0.1, verified=False))
    assert not framed(sample(0, -0.1))


def test_the_outcome_is_told_by_shape_not_by_colour_alone() -> None:
    def caption(row: Sample) -> np.ndarray:
        sheet = contact_sheet([dataclasses.replace(row, margin=0.0)], blue, cell=96)
        return np.asarray(sheet.convert("L"))[117:135, 20:116] < 180

    fooled, held = sample(0, 0.1), sample(0, -0.1)
    diamond, hollow = caption(fooled)[:, :16], caption(held)[:, :16]
    assert diamond.sum() > 1.4 * hollow.sum() > 0
    assert caption(fooled)[:, -16:].any()
    assert not caption(dataclasses.replace(fooled, verified=False))[:, -16:].any()


@pytest.mark.parametrize("error", [OSError("gone"), DataError("not an image")])
def test_an_image_that_cannot_be_opened_leaves_its_cell(error: Exception) -> None:
    def broken(row: Sample) -> Image.Image:
        if row.id == "s001":
            raise error
        return blue(row)

    sheet = contact_sheet([sample(0, 0.1), sample(1, 0.2)], broken, cell=96)
    assert 0.95 * 90 * 90 < count(sheet, (10, 20, 200)) <= 90 * 90


def test_no_samples_still_give_a_picture() -> None:
    sheet = contact_sheet([], blue)
    assert sheet.mode == "RGB"
    assert np.asarray(sheet).std() > 0


def test_long_class_names_stay_in_their_cell() -> None:
    names = {"true_class": "european fire salamander", "target_class": "american alligator lizard"}
    sheet = contact_sheet([sample(0, 0.1, **names)], blue, columns=1, cell=128)
    right_of_cell = np.asarray(sheet)[: 20 + 128 + 36, 20 + 128 + 2 :]
    assert right_of_cell.std(axis=(0, 1)).max() == 0


@pytest.mark.parametrize("wrong", [{"columns": 0}, {"cell": 20}])
def test_sizes_that_make_no_sheet_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="expected columns >= 1 and cell >= 48"):
        contact_sheet([], blue, **wrong)
