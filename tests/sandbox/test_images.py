import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from advgen.errors import DataError
from advgen.imagesets import load_image_set
from advgen.sandbox.images import SandboxImages, write_image_folder
from advgen.sandbox.lexicon import load_lexicon
from advgen.sandbox.render import render_scene
from advgen.sandbox.scene import Scene


def test_the_same_number_is_the_same_picture_in_every_set_that_has_it() -> None:
    few, many = SandboxImages(2, size=24), SandboxImages(500, size=24)
    assert [few.scene(index) for index in range(2)] == [many.scene(index) for index in range(2)]
    assert [np.asarray(image).tolist() for image in few] == [
        np.asarray(render_scene(many.scene(index), 24)).tolist() for index in range(2)
    ]
    assert len(many) == 500


def test_a_set_of_single_things_takes_the_classes_in_turn() -> None:
    images = SandboxImages(10**6, single=True)
    classes = list(load_lexicon().concepts)
    for index in (0, 1, len(classes) - 1, len(classes), 2 * len(classes) + 5):
        scene = images.scene(index)
        assert [item.concept for item in scene.items] == [classes[index % len(classes)]]
        assert images.label(index) == classes[index % len(classes)]


def test_labels_number_the_classes_by_what_stands_in_front() -> None:
    for images in (SandboxImages(40, seed=2), load_image_set("sandbox:40?single=1&seed=5")):
        assert images.classes == tuple(load_lexicon().concepts)
        assert images.labels is not None
        again = SandboxImages(40, seed=images.seed, single=images.single)  # type: ignore[union-attr]
        assert [images.classes[label] for label in images.labels] == [
            again.scene(index).items[-1].concept for index in range(40)
        ]
    assert images.labels == tuple(range(40)), "the classes come in turn"


def test_any_image_can_be_drawn_alone() -> None:
    images = SandboxImages(10**9, seed=4, size=16)
    few = SandboxImages(3, seed=4, size=16)
    assert [images[index].tobytes() for index in (2, 0)] == [
        few[index].tobytes() for index in (2, 0)
    ]
    assert images.digest(2) == few.digest(2) != few.digest(1)
    assert images.digest(2) != SandboxImages(3, seed=5, size=16).digest(2)
    assert images.describe(2) == "sandbox:1000000000?seed=4&size=16 scene 2"
    with pytest.raises(IndexError, match="from 0 to 2; got 3"):
        few[3]


def test_the_fingerprint_tells_sets_apart() -> None:
    sets = [
        SandboxImages(8),
        SandboxImages(9),
        SandboxImages(8, seed=1),
        SandboxImages(8, size=64),
        SandboxImages(8, single=True),
    ]
    assert len({images.fingerprint for images in sets}) == len(sets)
    assert SandboxImages(8).fingerprint == sets[0].fingerprint


def test_the_fingerprint_changes_with_the_world(monkeypatch: pytest.MonkeyPatch) -> None:
    before = SandboxImages(8).fingerprint
    monkeypatch.setattr("advgen.sandbox.images.world_fingerprint", lambda: "another world")
    assert SandboxImages(8).fingerprint != before


def test_a_written_set_is_labelled_and_its_scenes_draw_its_images(tmp_path: Path) -> None:
    images = SandboxImages(7, seed=3, size=32)
    metadata = write_image_folder(images, tmp_path / "set")
    rows = [json.loads(line) for line in metadata.read_text(encoding="utf-8").splitlines()]
    assert len(rows) == 7
    for index, row in enumerate(rows):
        path = metadata.parent / row["file_name"]
        assert path.parent.name == row["label"] == images.label(index)
        with Image.open(path) as written:
            again = render_scene(Scene.from_dict(row["scene"]), 32)
            assert written.tobytes() == again.tobytes()
    files = {path for path in metadata.parent.rglob("*") if path.is_file()}
    classes = metadata.parent / "classes.txt"
    assert files == {metadata, classes, *(metadata.parent / row["file_name"] for row in rows)}


def test_an_interrupted_set_leaves_an_empty_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = []

    def draw(scene: Scene, size: int) -> Image.Image:
        if len(drawn) == 3:
            raise KeyboardInterrupt
        drawn.append(scene)
        return render_scene(scene, size)

    with monkeypatch.context() as patch:
        patch.setattr("advgen.sandbox.images.render_scene", draw)
        with pytest.raises(KeyboardInterrupt):
            write_image_folder(SandboxImages(7, size=32), tmp_path)
    assert len(drawn) == 3 and list(tmp_path.iterdir()) == []
    write_image_folder(SandboxImages(7, size=32), tmp_path)


def test_a_written_set_is_read_with_the_labels_it_was_drawn_with(tmp_path: Path) -> None:
    images = SandboxImages(7, seed=3, size=32)
    read = load_image_set(str(write_image_folder(images, tmp_path / "set").parent))
    assert read.classes == images.classes
    assert read.labels is not None
    drawn = {f"{images.label(index)}/{index:06d}.png": index for index in range(7)}
    for index, label in enumerate(read.labels):
        name = Path(read.describe(index)).relative_to(tmp_path / "set").as_posix()
        assert label == images.labels[drawn[name]]
        assert read[index].tobytes() == images[drawn[name]].tobytes()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="cannot write .*file"):
        write_image_folder(SandboxImages(1, size=16), tmp_path / "file" / "set")
    assert not (tmp_path / "file" / "set").exists()
