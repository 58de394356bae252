from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms.functional import to_tensor

from advgen.errors import DataError
from advgen.imagesets import FolderImages, load_image_set
from advgen.imagesets.batches import PixelBatches, Skipped, require_some_readable

COUNT = 11
TOO_NEW = "ignore:.*multi-threaded.*fork:DeprecationWarning"


@pytest.fixture
def folder(tmp_path: Path, fill) -> Path:
    return fill(tmp_path / "set", [f"{number:02d}.jpg" for number in range(COUNT)])


def damage(folder: Path) -> dict[int, str]:
    """Spoils some of the images of batches of 4, the second one completely."""
    photo = folder / "00.jpg"
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(photo)
    photo.write_bytes(photo.read_bytes()[:2000])
    (folder / "02.jpg").write_text("a page that says that the photo has moved")
    (folder / "04.jpg").write_bytes(b"")
    for number in (5, 6, 7):
        (folder / f"{number:02d}.jpg").unlink()
    return {
        0: "truncated",
        2: "no known image format",
        4: "no known image format",
        5: "No such file",
        6: "No such file",
        7: "No such file",
    }


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.filterwarnings(TOO_NEW)
def test_unreadable_images_are_left_out_and_named(folder: Path, workers: int) -> None:
    images = FolderImages(folder)
    reasons = damage(folder)
    batches = list(PixelBatches(images, to_tensor, 4, workers=workers))
    assert [batch.number for batch in batches] == [0, 1, 2]
    assert [batch.indices for batch in batches] == [[1, 3], [], [8, 9, 10]]
    assert [tuple(batch.pixels.shape) for batch in batches] == [
        (2, 3, 3, 4),
        (0, 3, 64, 64),
        (3, 3, 3, 4),
    ]
    for batch in batches:
        for row, index in zip(batch.pixels, batch.indices, strict=True):
            torch.testing.assert_close(row, to_tensor(images[index]))
    skipped = [skip for batch in batches for skip in batch.skipped]
    assert {skip.index: skip.name for skip in skipped} == {
        index: str(images.paths[index]) for index in reasons
    }
    for skip in skipped:
        assert reasons[skip.index] in skip.reason


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.filterwarnings(TOO_NEW)
def test_a_batch_is_the_same_whoever_reads_it_and_when(folder: Path, workers: int) -> None:
    images = load_image_set(f"{folder}?shuffle=1")
    alone = PixelBatches(images, to_tensor, 4)
    shared = PixelBatches(images, to_tensor, 4, workers=workers)
    assert len(shared) == 3
    got = list(shared.read([2, 0]))
    assert [batch.number for batch in got] == [2, 0]
    for batch in got:
        expected = alone.batch(batch.number)
        assert batch.indices == expected.indices
        assert torch.equal(batch.pixels, expected.pixels)
    assert [batch.number for batch in shared.read([])] == []


def test_reading_starts_no_process_and_draws_nothing(folder, monkeypatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr("multiprocessing.process.BaseProcess.start", refuse)
    before = torch.get_rng_state()
    assert sum(len(batch.indices) for batch in PixelBatches(FolderImages(folder), to_tensor, 3))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_set_of_which_nothing_can_be_read_stops_the_work(folder: Path) -> None:
    images = FolderImages(folder)
    for path in images.paths:
        path.write_bytes(b"")
    batches = PixelBatches(images, to_tensor, 4)
    with pytest.raises(DataError, match=rf"none of the {COUNT} images .*00\.jpg \(no known image"):
        list(batches)
    assert len(batches.batch(0).skipped) == 4
    require_some_readable(images, [Skipped(0, "x", "y")] * (COUNT - 1))


def test_a_fault_of_the_preprocessing_is_not_the_image_s(folder: Path) -> None:
    def broken(image: Image.Image) -> torch.Tensor:
        raise ValueError("no such size")

    with pytest.raises(ValueError, match="no such size"):
        PixelBatches(FolderImages(folder), broken, 4).batch(0)


@pytest.mark.parametrize("number", [-1, 3])
def test_a_batch_that_does_not_exist_is_refused(folder: Path, number: int) -> None:
    with pytest.raises(IndexError, match=f"from 0 to 2; got {number}"):
        PixelBatches(FolderImages(folder), to_tensor, 4).batch(number)


@pytest.mark.parametrize(("size", "workers"), [(0, 0), (4, -1)])
def test_sizes_are_checked(folder: Path, size: int, workers: int) -> None:
    with pytest.raises(ValueError, match="expected batch_size >= 1 and workers >= 0"):
        PixelBatches(FolderImages(folder), to_tensor, size, workers=workers)
