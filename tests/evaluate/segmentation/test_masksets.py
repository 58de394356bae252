from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from advgen.errors import AdvgenError, ConfigError, DataError
from advgen.evaluate.segmentation import masksets
from advgen.evaluate.segmentation.gtsegs import FILE, GtSegs, open_gtsegs, wordnet_name
from advgen.evaluate.segmentation.masksets import MaskedImage, MaskSet, load_mask_set
from advgen.imagesets.files import UnreadableImageError
from advgen.sandbox.images import SandboxImages
from advgen.sandbox.masks import open_masks
from advgen.sandbox.render import render_masks

ROWS = [("n01440764", 5, 7), ("n02123045", 6, 4), ("n00007846", 3, 3), ("x", 4, 4)]


def item(number: int) -> tuple[np.ndarray, np.ndarray]:
    """Image [height, width, 3] and mask [height, width] as MATLAB sees them."""
    _, height, width = ROWS[number]
    rng = np.random.default_rng(number)
    image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    return image, (rng.random((height, width)) < 0.5).astype(np.uint8)


def write_mat(path: Path, *, nested: bool = True, letters: str = "target") -> Path:
    """A file as MATLAB 7.3 writes a struct of cell arrays: references, axes reversed."""
    with h5py.File(path, "w") as file:
        hidden = file.create_group("#refs#")

        def reference(value):
            return hidden.create_dataset(str(len(hidden)), data=value).ref

        cells = {"img": [], "gt": [], letters: []}
        for number, (wnid, _, _) in enumerate(ROWS):
            image, mask = item(number)
            cells["img"].append(reference(image.transpose(2, 1, 0)))
            inner = reference(mask.T)
            cell = np.array([[inner]], dtype=h5py.ref_dtype)
            cells["gt"].append(reference(cell) if nested else inner)
            text = np.array([[ord(letter)] for letter in f"{wnid}_12"], dtype=np.uint16)
            cells[letters].append(reference(text))
        for key, references in cells.items():
            column = np.array([[one] for one in references], dtype=h5py.ref_dtype)
            file.create_dataset(f"value/{key}", data=column)
    return path


@pytest.mark.parametrize("layout", [{}, {"nested": False}, {"letters": "id"}])
def test_the_matlab_file_reads_back(tmp_path: Path, layout) -> None:
    write_mat(tmp_path / FILE, **layout)
    found = load_mask_set(f"imagenet-seg:{tmp_path}")
    assert isinstance(found, MaskSet)
    assert len(found) == len(ROWS)
    for number in range(len(ROWS)):
        image, mask = item(number)
        got = found[number]
        assert (np.asarray(got.image) == image).all()
        assert (got.mask == mask.astype(bool)).all()
        assert got.mask.dtype == bool
    assert [found[n].class_name for n in range(4)] == ["tench", "tabby cat", "person", None]
    assert len(found.classes) == 1000
    assert len(found.templates) == 80
    assert found.describe(2) == f"{FILE} item 2"
    with pytest.raises(IndexError):
        found[4]


def test_names_are_those_that_clip_is_prompted_with_first() -> None:
    assert wordnet_name("n01440764") == "tench"
    assert wordnet_name("n00000000") is None


def test_the_fingerprint_is_the_files(tmp_path: Path) -> None:
    first = open_gtsegs(str(write_mat(tmp_path / "a.mat")))
    same = open_gtsegs(str(write_mat(tmp_path / "b.mat")))
    other = open_gtsegs(str(write_mat(tmp_path / "c.mat", nested=False)))
    assert first.fingerprint == same.fingerprint != other.fingerprint


def test_faults_of_the_file_are_sentences(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"there is no file .*{FILE}; get"):
        open_gtsegs(str(tmp_path))
    (tmp_path / "text.mat").write_text("not HDF5")
    with pytest.raises(DataError, match="is not the HDF5 file"):
        open_gtsegs(str(tmp_path / "text.mat"))
    with h5py.File(tmp_path / "other.mat", "w") as file:
        file["value/img"] = np.zeros(3)
    with pytest.raises(DataError, match="has no /value/gt"):
        open_gtsegs(str(tmp_path / "other.mat"))


def test_an_item_that_does_not_fit_is_unreadable(tmp_path: Path) -> None:
    path = write_mat(tmp_path / FILE)
    with h5py.File(path, "r+") as opened:
        file: Any = opened
        file["#refs#"]["wide"] = np.zeros((9, 9), dtype=np.uint8)
        references = file["value/gt"][()]
        references[1, 0] = file["#refs#/wide"].ref
        file["value/gt"][...] = references
    masks = GtSegs(path)
    assert isinstance(masks[0], MaskedImage)
    with pytest.raises(UnreadableImageError, match="item 1 .*its mask is 9 x 9"):
        masks[1]


def test_sandbox_masks_are_what_the_renderer_covers() -> None:
    masks = open_masks("6", size=48, seed=3)
    images = SandboxImages(6, seed=3, size=48)
    assert isinstance(masks, MaskSet)
    for number in range(6):
        scene = images.scene(number)
        got = masks[number]
        assert got.image.tobytes() == images[number].tobytes()
        assert (got.mask == render_masks(scene, 48)[-1].visible).all()
        assert got.mask.any()
        assert got.class_name == scene.items[-1].concept == images.label(number)
    assert masks.classes == images.classes


def test_a_hidden_thing_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    masks = open_masks("2", size=16)
    scene = SandboxImages(2).scene(0)
    away = type(scene)(**{**vars_of(scene), "items": (moved(scene.items[-1]),)})
    monkeypatch.setattr(SandboxImages, "scene", lambda self, index: away)
    with pytest.raises(UnreadableImageError, match="its main thing is hidden"):
        masks[0]


def vars_of(record) -> dict:
    return {name: getattr(record, name) for name in record.__dataclass_fields__}


def moved(item):
    return type(item)(**{**vars_of(item), "x": 400.0})


def test_specs_choose_and_change_the_fingerprint() -> None:
    whole = load_mask_set("sandbox:8?seed=2&size=32")
    some = load_mask_set("sandbox:8?seed=2&size=32&every=3&offset=1&limit=2")
    assert len(some) == 2
    for number, source in enumerate((1, 4)):
        assert (some[number].mask == whole[source].mask).all()
        assert some.describe(number) == whole.describe(source)
    cut = load_mask_set("sandbox:8?seed=2&size=32&limit=5")
    assert len({whole.fingerprint, some.fingerprint, cut.fingerprint}) == 3
    assert load_mask_set("sandbox:8?seed=2&size=32&limit=9").name == whole.name
    assert whole.classes == some.classes
    assert whole.templates == some.templates


@pytest.mark.parametrize(
    ("spec", "kind", "message"),
    [
        ("sandbx:5", ConfigError, "did you mean sandbox:?"),
        ("dogs", ConfigError, "no set of images with masks"),
        ("sandbox:none", ConfigError, "write sandbox:N"),
        ("sandbox:5?sed=1", ConfigError, "did you mean seed"),
        ("sandbox:5?limit=0", ConfigError, "limit is a whole number from 1"),
        ("sandbox:5?offset=9", DataError, "leaves none of the 5 items"),
        ("imagenet-seg:nowhere", DataError, "there is no file nowhere"),
    ],
)
def test_wrong_specs_are_sentences(spec: str, kind: type[AdvgenError], message: str) -> None:
    with pytest.raises(kind) as caught:
        load_mask_set(spec)
    assert message in str(caught.value)


def test_the_grammar_names_every_source() -> None:
    for source in ("sandbox", "imagenet-seg"):
        assert f"`{source}`" in (masksets.__doc__ or "")
