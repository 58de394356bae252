import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from doubles.hub import StubHub, client_of
from huggingface_hub import constants

from advgen.dataset import read_built
from advgen.errors import DataError
from advgen.evaluate.robustness.dataset import open_data
from advgen.imagesets import ImageSet
from advgen.imagesets.files import UnreadableImageError
from advgen.records import ClassPair

Rewritten = Callable[..., Path]


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, release: Path):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    with client_of(monkeypatch, tmp_path) as running:
        names = [path.relative_to(release).as_posix() for path in release.rglob("*.*")]
        files = {name: (release / name).read_bytes() for name in names}
        running.create("me/animals", files)
        yield running


def test_rows_say_what_the_data_set_says(release: Path) -> None:
    data = open_data(str(release))
    wanted = list(read_built(release).rows())
    assert [row.id for row in data.rows] == [row["id"] for row in wanted]
    assert len(wanted) == len(data.images) == 11
    first, last = data.rows[0], data.rows[-1]
    assert first.pair == ClassPair("dog", "deer") and data.rows[3].pair == ClassPair("cat", "fox")
    assert last.attacked == "sandbox-a" and last.weights_sha256 == "f" * 64
    assert [row.fooled for row in data.rows[-5:]] == [True, False, True, False, True]
    assert first.templates == ("a photo of {article} {noun}.",)
    assert all(row.verified for row in data.rows) and data.drawn and not data.only_fooled
    assert (data.name, data.licence) == ("animals", "Apache-2.0")
    assert isinstance(data.images, ImageSet)
    for place in (10, 0, 7):
        assert data.images.digest(place) == wanted[place]["sha256"]
        assert data.images[place].size == (64, 64)


def test_fingerprint_is_that_of_the_rows_not_of_the_place(
    release: Path, rewritten: Rewritten, tmp_path: Path
) -> None:
    before = open_data(str(release)).fingerprint
    shutil.copytree(release, tmp_path / "elsewhere")
    assert open_data(str(tmp_path / "elsewhere")).fingerprint == before
    assert open_data(str(rewritten(lambda _, row: row, "same"))).fingerprint == before
    fewer = rewritten(lambda number, row: None if number == 4 else row, "fewer")
    assert open_data(str(fewer)).fingerprint != before
    other = rewritten(lambda _, row: {**row, "target_class": "fox"}, "other")
    assert open_data(str(other)).fingerprint != before


def test_unusable_images_are_named(rewritten: Rewritten) -> None:
    def change(number: int, row: dict) -> dict:
        data = row["image"]["bytes"]
        changed = {2: None, 5: data[:80], 9: data + b"!"}.get(number, data)
        return {**row, "image": {**row["image"], "bytes": changed}}

    data = open_data(str(rewritten(change)))
    for place, reason in ((2, "empty"), (5, "SHA-256"), (9, "SHA-256")):
        with pytest.raises(UnreadableImageError, match=reason) as fault:
            data.images[place]
        assert fault.value.name == data.rows[place].id
    assert data.images[3].mode == "RGB"


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda root: (root / "build.json").unlink(), "advgen dataset build"),
        (lambda root: shutil.rmtree(root), "there is no folder"),
        (lambda root: shutil.rmtree(root / "data"), "is missing"),
        (lambda root: _forget_runs(root), "--template"),
    ],
)
def test_a_data_set_that_is_none_is_refused(
    release: Path, tmp_path: Path, spoil: Callable[[Path], object], says: str
) -> None:
    shutil.copytree(release, tmp_path / "copy")
    spoil(tmp_path / "copy")
    with pytest.raises(DataError, match=says):
        open_data(str(tmp_path / "copy"))


def _forget_runs(root: Path) -> None:
    build = json.loads((root / "build.json").read_text())
    (root / "build.json").write_text(json.dumps({**build, "runs": []}))


def test_templates_stand_in_for_those_of_the_runs(release: Path, tmp_path: Path) -> None:
    shutil.copytree(release, tmp_path / "copy")
    _forget_runs(tmp_path / "copy")
    data = open_data(str(tmp_path / "copy"), ("{}", "a {noun}"))
    assert {row.templates for row in data.rows} == {("{}", "a {noun}")}


def test_a_data_set_without_rows_is_refused(rewritten: Rewritten) -> None:
    with pytest.raises(DataError, match="has no rows"):
        open_data(str(rewritten(lambda _number, _row: None)))


def test_from_the_hub_at_one_commit(hub: StubHub, release: Path) -> None:
    data = open_data("hf:me/animals")
    commit = hub.repos["me/animals"].refs["main"]
    assert data.name == f"hf:me/animals@{commit}"
    assert data.fingerprint == open_data(str(release)).fingerprint
    assert data.images[10].size == (64, 64)
    assert open_data(f"hf:me/animals@{commit}").name == data.name
    hub.fail("500", 1, times=100, asking=True)
    assert open_data("hf:me/animals@" + commit).name == data.name, "from this machine"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("hf:me/nothing", "there is no public data set 'me/nothing'"),
        ("hf:me/animals@v9", "has no revision 'v9'"),
        ("hf:me//x", "write hf:OWNER/NAME"),
    ],
)
def test_the_hub_without_it(hub: StubHub, name: str, says: str) -> None:
    with pytest.raises(DataError, match=says):
        open_data(name)
