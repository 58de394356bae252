import io
from pathlib import Path

import datasets
import pytest
from PIL import Image

from advgen.errors import ConfigError, DataError
from advgen.imagesets import ImageSet, load_image_set
from advgen.imagesets.hub import HubImages
from advgen.imagesets.imagenet import IMAGENET_CLASSES, IMAGENET_TEMPLATES

pytestmark = pytest.mark.usefixtures("no_hub")
NAMES = datasets.ClassLabel(names=["hot_dog", "cat"])


def png(number: int) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (4, 3), (number, 0, 0)).save(stream, "PNG")
    return stream.getvalue()


def table(labels: object = (1, 0, 1), kind: object = NAMES, **more: object) -> datasets.Dataset:
    columns = {
        "image": [{"bytes": png(number), "path": None} for number in range(3)],
        "label": list(labels),  # type: ignore[call-overload]
        **more,
    }
    features = {"image": datasets.Image(), "label": kind, **dict.fromkeys(more, datasets.Image())}
    return datasets.Dataset.from_dict(columns, features=datasets.Features(features))


def saved(data: datasets.Dataset, folder: Path, *options: str) -> ImageSet:
    data.save_to_disk(str(folder))
    return load_image_set(f"hf:{folder}" + ("?" + "&".join(options) if options else ""))


def write_parquet(folder: Path, *splits: str) -> Path:
    folder.mkdir()
    for split in splits:
        table().to_parquet(str(folder / f"{split}-00000.parquet"))
    return folder


def test_saved_rows_are_images_with_labels(tmp_path: Path) -> None:
    images = saved(table(), tmp_path / "set")
    assert isinstance(images, ImageSet)
    assert [image.getpixel((0, 0)) for image in images] == [(n, 0, 0) for n in range(3)]
    assert images[2].getpixel((0, 0)) == (2, 0, 0)
    assert (images.labels, images.classes) == ((1, 0, 1), ("hot dog", "cat"))
    assert images.templates == ()
    assert images.describe(1) == f"hf:{tmp_path / 'set'} row 1"
    with pytest.raises(IndexError, match="from 0 to 2; got 3"):
        images[3]


def test_the_fingerprint_is_of_the_images_wherever_and_however_they_are_kept(tmp_path) -> None:
    first = saved(table(), tmp_path / "one")
    second = load_image_set(f"hf:{write_parquet(tmp_path / 'two', 'test')}?split=test")
    assert second.name == f"hf:{tmp_path / 'two'}?split=test"
    assert first.fingerprint == second.fingerprint
    assert saved(table().select([1, 0, 2]), tmp_path / "three").fingerprint != first.fingerprint
    assert load_image_set(f"hf:{tmp_path / 'one'}?limit=2").fingerprint != first.fingerprint


def test_one_split_need_not_be_named(tmp_path: Path) -> None:
    folder = write_parquet(tmp_path / "set", "validation")
    assert load_image_set(f"hf:{folder}").name == f"hf:{folder}?split=validation"
    datasets.DatasetDict({"a": table()}).save_to_disk(str(tmp_path / "dict"))
    assert load_image_set(f"hf:{tmp_path / 'dict'}?every=2").name.endswith("?split=a&every=2")


@pytest.mark.parametrize(
    ("values", "kind", "options", "labels", "classes"),
    [
        (["hot_dog", "cat", "cat"], datasets.Value("string"), [], (1, 0, 0), ("cat", "hot dog")),
        ((1, 0, 1), NAMES, ["label="], None, ()),
        ((-1, -1, -1), NAMES, [], None, ()),
        ((7, 0, 999), datasets.Value("int64"), ["classes=imagenet"], (7, 0, 999), IMAGENET_CLASSES),
        ((7, 0, 999), datasets.Value("int64"), ["label="], None, ()),
    ],
)
def test_labels_come_as_names_or_numbers(tmp_path, values, kind, options, labels, classes) -> None:
    images = saved(table(values, kind), tmp_path / "set", *options)
    assert (images.labels, images.classes) == (labels, classes)
    assert images.templates == (IMAGENET_TEMPLATES if classes == IMAGENET_CLASSES else ())


@pytest.mark.parametrize(
    ("data", "options", "error", "says"),
    [
        (lambda: table(), ["label=lable"], ConfigError, "unknown column 'lable': did you mean"),
        (lambda: table(), ["image=label"], ConfigError, "unknown column of images 'label'"),
        (lambda: table(), ["split=test"], ConfigError, "leave split=test out"),
        (lambda: table(), ["config=x"], ConfigError, "without config or revision"),
        (lambda: table(), ["classes=imagenet"], ConfigError, "has 2 classes, not the 1000"),
        (
            lambda: table("abc", datasets.Value("string")),
            ["classes=imagenet"],
            ConfigError,
            "label holds names",
        ),
        (lambda: table((1, -1, 0)), [], DataError, "1 of 3 rows have no label"),
        (lambda: table((1, 2, 3), datasets.Value("int32")), [], DataError, "have no names"),
        (
            lambda: table((1, 2, 1000), datasets.Value("int32")),
            ["classes=imagenet"],
            DataError,
            "no number from 0 to 999",
        ),
        (
            lambda: table(mask=[None] * 3),
            [],
            ConfigError,
            "the columns image, mask hold images; add image=COLUMN",
        ),
        (
            lambda: table().remove_columns("image"),
            [],
            ConfigError,
            "there is no column of images, only label",
        ),
    ],
)
def test_what_does_not_fit_is_said(tmp_path: Path, data, options, error, says: str) -> None:
    with pytest.raises(error, match=says):
        saved(data(), tmp_path / "set", *options)


@pytest.mark.parametrize(
    ("option", "error", "says"),
    [
        ("", ConfigError, "has the splits train, test; add split="),
        ("?split=tset", DataError, "cannot load .*tset"),
        ("?split=train%2Btest&limit=1", None, ""),
    ],
)
def test_a_split_must_be_named_and_exist(tmp_path: Path, option, error, says) -> None:
    spec = f"hf:{write_parquet(tmp_path / 'set', 'train', 'test')}{option}"
    if error is None:
        assert len(load_image_set(spec)) == 1
        return
    with pytest.raises(error, match=says):
        load_image_set(spec)


def test_a_saved_split_must_exist(tmp_path: Path) -> None:
    datasets.DatasetDict({"a": table(), "b": table()}).save_to_disk(str(tmp_path / "set"))
    assert len(load_image_set(f"hf:{tmp_path / 'set'}?split=b")) == 3
    with pytest.raises(ConfigError, match="unknown split 'c': Known: a, b"):
        load_image_set(f"hf:{tmp_path / 'set'}?split=c")


def test_what_cannot_be_loaded_is_named(tmp_path: Path, monkeypatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise ConnectionError("no way there")

    monkeypatch.setattr(datasets, "get_dataset_split_names", refuse)
    with pytest.raises(DataError, match="cannot load the data set 'no/where' .no way there"):
        load_image_set("hf:no/where")
    (tmp_path / "state.json").write_text("{}")
    with pytest.raises(DataError, match="cannot be read"):
        load_image_set(f"hf:{tmp_path}")


def test_a_broken_cell_is_named(tmp_path: Path) -> None:
    cells = [{"bytes": b"text", "path": None}, {"bytes": None, "path": str(tmp_path / "gone")}]
    features = datasets.Features({"image": datasets.Image()})
    data = datasets.Dataset.from_dict({"image": [*cells, None]}, features=features)
    images = HubImages(data, image="image", labelling=None, name="three")
    for index, reason in enumerate(["no known image format", "No such file", "cell is empty"]):
        with pytest.raises(DataError, match=f"three row {index} is not .*{reason}"):
            images[index]
