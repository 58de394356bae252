"""The store gives back what was saved, or says why it does not."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from advgen import store as module
from advgen.errors import StoreError
from advgen.store import (
    ArtifactStore,
    ArtifactWarning,
    default_store_root,
    sha256_file,
    write_atomic,
)

FIELDS = {"layer": 8, "weights": "abc", "nested": {"b": [1, 2.5, None], "a": True}}
TENSORS = {
    "plain": torch.arange(6.0).view(2, 3),
    "half": torch.ones(2, dtype=torch.bfloat16),
    "numpy": np.arange(3, dtype=np.int64),
    "strided": torch.arange(6.0).view(2, 3).T,
    "empty": torch.zeros(0, 4),
}


@pytest.fixture
def store(tmp_path):
    return ArtifactStore(tmp_path / "cache")


def test_round_trip(store):
    path = store.save("directions", FIELDS, TENSORS, {"note": "é"})
    artifact = store.load("directions", FIELDS)
    assert artifact.path == path and artifact.kind == "directions"
    assert artifact.fields == FIELDS and artifact.extra == {"note": "é"}
    assert artifact.tensors.keys() == TENSORS.keys()
    for name, value in TENSORS.items():
        expected = torch.as_tensor(value)
        assert torch.equal(artifact.tensors[name], expected)
        assert artifact.tensors[name].dtype == expected.dtype
    manifest = json.loads(path.with_suffix(".json").read_text())
    assert manifest["sha256"] == sha256_file(path)
    assert manifest["size"] == path.stat().st_size
    assert manifest["tensors"]["strided"] == {"shape": [3, 2], "dtype": "float32"}


def test_tensors_that_share_memory_are_saved_apart(store):
    shared = torch.arange(4.0)
    store.save("x", {}, {"a": shared, "b": shared[1:]})
    assert torch.equal(store.load("x", {}).tensors["b"], shared[1:])


def test_absent_artifact_has_no_reason(store):
    found = store.lookup("directions", FIELDS)
    assert found.artifact is None and found.reason is None
    assert store.load("directions", FIELDS) is None


def test_key_depends_on_every_field_but_not_on_their_order(store):
    key = store.key("directions", FIELDS)
    assert key.startswith("directions-")
    assert key == store.key("directions", dict(reversed(FIELDS.items())))
    assert key == store.key("directions", {**FIELDS, "nested": {"a": True, "b": (1, 2.5, None)}})
    others = [
        store.key("alpha", FIELDS),
        store.key("directions", {**FIELDS, "layer": 9}),
        store.key("directions", {**FIELDS, "layer": "8"}),
        store.key("directions", {}),
    ]
    assert len({key, *others}) == 5


@pytest.mark.parametrize("kind", ["", "Has Space", "../up", "a/b", "-a"])
def test_kind_must_be_a_plain_name(store, kind):
    with pytest.raises(ValueError, match="kind must be"):
        store.key(kind, {})


@pytest.mark.parametrize("value", [float("nan"), object(), {1, 2}, torch.ones(2)])
def test_fields_must_be_plain_json(store, value):
    with pytest.raises(ValueError):
        store.key("x", {"field": value})


def truncate(path):
    path.write_bytes(path.read_bytes()[:-3])


def flip(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))


def edit(**changes):
    def change(path):
        manifest = path.with_suffix(".json")
        manifest.write_text(json.dumps({**json.loads(manifest.read_text()), **changes}))

    return change


def nonsense(path):
    import hashlib

    path.write_bytes(b"hello")
    edit(size=5, sha256=hashlib.sha256(b"hello").hexdigest())(path)


DAMAGE = {
    "truncated": (truncate, "truncated"),
    "flipped": (flip, "SHA-256"),
    "tensor file gone": (lambda path: path.unlink(), "cannot be read"),
    "manifest gone": (lambda path: path.with_suffix(".json").unlink(), "manifest cannot be read"),
    "manifest cut": (lambda path: truncate(path.with_suffix(".json")), "not JSON"),
    "manifest a list": (lambda path: path.with_suffix(".json").write_text("[]"), "incomplete"),
    "old format": (edit(format=0), "format 0"),
    "other fields": (edit(fields={"layer": 9}), "other fields"),
    "other kind": (edit(kind="alpha"), "other fields"),
    "other names": (edit(tensors={}), "tensor names"),
    "no tensors": (nonsense, "not a safetensors file"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_artifact_is_reported_and_can_be_rebuilt(tmp_path, damage):
    reasons = []
    store = ArtifactStore(tmp_path, on_rebuild=reasons.append)
    path = store.save("directions", FIELDS, TENSORS)
    change, expected = DAMAGE[damage]
    change(path)
    assert store.load("directions", FIELDS) is None
    assert len(reasons) == 1 and expected in reasons[0] and str(path) in reasons[0]
    store.save("directions", FIELDS, TENSORS)
    assert store.load("directions", FIELDS) is not None and len(reasons) == 1


def test_without_a_callback_the_reason_is_a_warning(store):
    truncate(store.save("x", {}, TENSORS))
    with pytest.warns(ArtifactWarning, match="truncated"):
        assert store.load("x", {}) is None


def test_foreign_artifact_under_the_wanted_name_is_not_used(store):
    other = store.save("x", {"layer": 1}, {"a": torch.ones(1)})
    wanted = other.with_name(store.key("x", {"layer": 2}) + ".safetensors")
    for suffix in (".safetensors", ".json"):
        other.with_suffix(suffix).rename(wanted.with_suffix(suffix))
    found = store.lookup("x", {"layer": 2})
    assert found.artifact is None and "other fields" in found.reason


def test_fallback_is_read_and_never_written(tmp_path):
    shipped = ArtifactStore(tmp_path / "shipped")
    shipped.save("x", {}, {"a": torch.ones(1)})
    store = ArtifactStore(tmp_path / "own", fallback=tmp_path / "shipped")
    assert store.load("x", {}).path.is_relative_to(tmp_path / "shipped")
    own = store.save("x", {}, {"a": torch.zeros(1)})
    assert store.load("x", {}).path == own
    truncate(own)
    found = store.lookup("x", {})
    assert found.artifact.tensors["a"] == 1 and "truncated" in found.reason


def test_crash_while_writing_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a" / "file.txt"
    write_atomic(path, "old")

    def crash(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", crash)
    with pytest.raises(StoreError, match=r"No space left.*ADVGEN_CACHE"):
        write_atomic(path, b"new")
    assert path.read_text() == "old"
    assert os.listdir(path.parent) == ["file.txt"]


def test_unwritable_root(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot write"):
        ArtifactStore(tmp_path / "file").save("x", {}, {"a": torch.ones(1)})


def test_default_root(tmp_path, monkeypatch):
    monkeypatch.setenv("ADVGEN_CACHE", str(tmp_path / "mine"))
    assert default_store_root() == tmp_path / "mine"
    monkeypatch.delenv("ADVGEN_CACHE")
    installed = tmp_path / "site-packages" / "advgen" / "store.py"
    monkeypatch.setattr(module, "__file__", str(installed))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert default_store_root() == tmp_path / "xdg" / "advgen"
    installed.parent.parent.mkdir()
    (installed.parent.parent / "pyproject.toml").write_text("")
    assert default_store_root() == installed.parent.parent / "neuron_cache"


def test_light_modules_do_not_import_torch():
    code = "import sys, advgen.store, advgen.registry, advgen.errors; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize(
    ("number", "todo"),
    [(errno.ENOSPC, "free some space"), (errno.EROFS, "choose another folder")],
)
def test_a_file_that_cannot_be_written_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, todo: str
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(StoreError, match=f"{os.strerror(number)}.*{todo}"):
        write_atomic(tmp_path / "a", "text")
    assert list(tmp_path.iterdir()) == []
