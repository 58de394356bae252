import io
import os
from pathlib import Path

import pytest
from PIL import Image

from advgen.errors import DataError
from advgen.imagesets import FolderImages, UnreadableImageError, load_image_set, open_image

RED, GREEN, BLUE = (200, 0, 0), (0, 200, 0), (0, 0, 200)


def save(path: Path, color: tuple[int, int, int]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 3), color).save(path)
    return path


def pixel(image: Image.Image) -> tuple[int, ...]:
    value = image.getpixel((0, 0))
    assert isinstance(value, tuple)
    return value


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "set"
    save(root / "b.png", GREEN)
    save(root / "a" / "z.PNG", RED)
    save(root / "c.bmp", BLUE)
    (root / "notes.txt").write_text("no image")
    (root / "album.png").mkdir()
    return root


def test_images_come_in_order_of_path_and_nothing_else_does(folder: Path) -> None:
    images = load_image_set(str(folder))
    assert len(images) == 3
    assert [pixel(image) for image in images] == [RED, GREEN, BLUE]
    assert [pixel(image) for image in images] == [RED, GREEN, BLUE], "it can be read twice"


@pytest.mark.parametrize("mode", ["RGBA", "L", "P", "1", "CMYK"])
def test_every_mode_is_read_as_rgb(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("x.jpg" if mode == "CMYK" else "x.png")
    Image.new("RGB", (4, 3), RED).convert(mode).save(path)
    assert open_image(path).mode == "RGB"


def swap(root: Path) -> None:
    first, second = root / "b.png", root / "a" / "z.PNG"
    one, two = first.read_bytes(), second.read_bytes()
    first.write_bytes(two)
    second.write_bytes(one)


def test_a_name_that_is_not_utf_8_has_a_fingerprint(folder: Path) -> None:
    before = FolderImages(folder).fingerprint
    picture = folder / "b.png"
    os.rename(picture, os.fsencode(picture.parent) + b"/n\xe4me.png")
    assert FolderImages(folder).fingerprint != before


@pytest.mark.parametrize(
    "change",
    [
        lambda root: save(root / "b.png", BLUE),
        lambda root: (root / "b.png").rename(root / "bb.png"),
        lambda root: save(root / "d.png", RED),
        lambda root: (root / "c.bmp").unlink(),
        swap,
    ],
    ids=["content", "name", "one more", "one less", "order"],
)
def test_the_fingerprint_changes_with_content_names_and_order(folder: Path, change) -> None:
    before = FolderImages(folder).fingerprint
    change(folder)
    assert FolderImages(folder).fingerprint != before


def test_the_fingerprint_does_not_depend_on_where_the_folder_is_or_what_else_lies_there(
    folder: Path, tmp_path: Path
) -> None:
    before = FolderImages(folder).fingerprint
    (folder / "notes.txt").write_text("still no image")
    os.utime(folder / "b.png", (1, 1))
    moved = folder.rename(tmp_path / "elsewhere")
    assert FolderImages(moved).fingerprint == before


@pytest.mark.parametrize("damage", [lambda data: data[: len(data) // 2], lambda data: b"text"])
def test_a_broken_image_is_named(folder: Path, damage) -> None:
    victim = folder / "b.png"
    victim.write_bytes(damage(victim.read_bytes()))
    with pytest.raises(DataError, match=r"b\.png is not a readable image .*remove or replace it"):
        list(FolderImages(folder))


def test_an_image_that_would_fill_the_memory_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 5)
    with pytest.raises(DataError, match="not a readable image"):
        open_image(folder / "b.png")


def test_an_image_that_went_away_is_named(folder: Path) -> None:
    images = FolderImages(folder)
    images.paths[1].unlink()
    with pytest.raises(DataError, match=images.paths[1].name):
        _ = images.fingerprint


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    (tmp_path / "readme.md").write_text("empty")
    with pytest.raises(DataError, match="holds no image"):
        load_image_set(str(tmp_path))


def test_the_contents_are_read_once_for_the_fingerprint(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = FolderImages(folder)
    before = images.fingerprint
    monkeypatch.setattr("advgen.imagesets.folder.file_digest", None)
    assert images.fingerprint == before


def test_links_are_followed_but_not_upwards_and_hidden_names_are_left_out(
    folder: Path, tmp_path: Path
) -> None:
    save(tmp_path / "other" / "d.png", BLUE)
    save(folder / "._b.png", RED)
    save(folder / ".checkpoints" / "e.png", RED)
    try:
        (folder / "x").symlink_to(tmp_path / "other", target_is_directory=True)
        (folder / "a" / "up").symlink_to(folder, target_is_directory=True)
    except OSError:
        pytest.skip("no links on this system")
    names = [path.relative_to(folder).as_posix() for path in FolderImages(folder).paths]
    assert names == ["a/z.PNG", "b.png", "c.bmp", "x/d.png"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "no known image format"),
        (b"just text", "no known image format"),
        (None, "No such file or directory"),
    ],
)
def test_a_reason_names_neither_path_nor_address(tmp_path: Path, content, reason: str) -> None:
    path = tmp_path / "x.jpg"
    if content is not None:
        path.write_bytes(content)
        with pytest.raises(UnreadableImageError, match="row 3 is not a readable image"):
            open_image(io.BytesIO(content), "row 3")
    with pytest.raises(UnreadableImageError) as caught:
        open_image(path)
    assert (caught.value.name, caught.value.reason) == (str(path), reason)
