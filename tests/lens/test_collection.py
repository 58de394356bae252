"""Scratch files: resumed, shared, bounded; the same numbers whatever the way."""

import copy
import dataclasses
import os
import threading

import pytest
import torch

from advgen.errors import DataError, StoreError
from advgen.lens import Budget, SecondOrderLens, collect_images
from advgen.lens import scratch as scratch_module
from advgen.lens.collection import fits_disk, pass_bytes
from advgen.models import OpenClipModel

ON_DISK = Budget(memory=0, dtype=torch.float64)
IN_MEMORY = Budget(dtype=torch.float64)
FIELDS = {"images": "some"}


class Shares:
    """One of several processes, as threads of this one."""

    def __init__(self, rank, count, barrier):
        self.rank, self.count, self.wait = rank, count, barrier.wait


def content(collection):
    effects = collection.effects
    rows = {layer: table.rows(slice(None)) for layer, table in effects.tables.items()}
    return rows, effects.representation, effects.numbers


def assert_same(one, other, exact=True):
    for first, second in zip(content(one), content(other), strict=True):
        if isinstance(first, dict):
            assert set(first) == set(second)
            assert all(torch.equal(first[layer], second[layer]) for layer in first)
        else:
            assert torch.equal(first, second) if exact else torch.allclose(first, second)


@pytest.fixture
def lens(plain_clip):
    return SecondOrderLens(plain_clip, [2, 0])


def test_disk_memory_and_plain_pixels_agree(lens, make_source, tmp_path):
    source = make_source(broken=(3, 20, 21, 22, 23, 24))
    disk = collect_images(lens, source, tmp_path / "a", FIELDS, budget=ON_DISK)
    memory = collect_images(lens, source, tmp_path / "b", FIELDS, budget=IN_MEMORY)
    assert (tmp_path / "a").is_dir() and not (tmp_path / "b").exists()
    rows, representation, numbers = content(memory)
    assert numbers.tolist() == [n for n in range(37) if n not in (3, 20, 21, 22, 23, 24)]
    pixels = torch.cat([batch.pixels for batch in source.read(range(len(source)))])
    expected = lens.coefficients(pixels)
    for layer in (0, 2):
        assert torch.allclose(rows[layer], expected.alpha[layer], rtol=1e-12)
        assert torch.equal(disk.effects.tables[layer].rows(slice(None)), rows[layer])
        part = disk.effects.tables[layer].rows(slice(3, 7))
        assert torch.equal(part, rows[layer][:, 3:7])
    assert torch.allclose(representation, expected.representation)
    assert torch.equal(disk.effects.representation, representation.float())
    for collection in (disk, memory):
        assert [item.index for item in collection.skipped] == [3, 20, 21, 22, 23, 24]
        assert collection.skipped[0].name == "picture 3"
        assert "torn" in collection.skipped[0].reason
    disk.discard()
    assert not (tmp_path / "a").exists()


def test_interrupted_pass_is_taken_up(lens, make_source, tmp_path, monkeypatch):
    whole = collect_images(lens, make_source(), tmp_path / "whole", FIELDS, budget=ON_DISK)
    calls = []
    put = scratch_module.Scratch.put

    def put_until_killed(self, number, *rest):
        calls.append(number)
        if len(calls) == 4:
            raise KeyboardInterrupt
        put(self, number, *rest)

    monkeypatch.setattr(scratch_module.Scratch, "put", put_until_killed)
    source, done = make_source(), []
    with pytest.raises(KeyboardInterrupt):
        collect_images(lens, source, tmp_path / "cut", FIELDS, budget=ON_DISK)
    again = collect_images(
        lens, source, tmp_path / "cut", FIELDS, budget=ON_DISK, advance=done.append
    )
    assert calls == [0, 1, 2, 3, 3, 4, 5, 6, 7]
    assert sum(done) == 37
    assert_same(whole, again)


def test_other_settings_start_anew(lens, make_source, tmp_path):
    source = make_source()
    collect_images(lens, source, tmp_path, FIELDS, budget=ON_DISK)
    reads = source.images.reads
    collect_images(lens, source, tmp_path, FIELDS, budget=ON_DISK)
    assert source.images.reads == reads  # all batches are there
    collect_images(lens, source, tmp_path, {"images": "others"}, budget=ON_DISK)
    assert source.images.reads == 2 * reads


@pytest.mark.parametrize("count", [2, 3])
def test_several_processes_leave_the_same_bytes(lens, make_source, tmp_path, count):
    source = make_source(broken=(11,))
    alone = collect_images(lens, source, tmp_path / "one", FIELDS, budget=ON_DISK)
    barrier, found = threading.Barrier(count, timeout=20), {}

    def work(rank):
        own = SecondOrderLens(OpenClipModel(copy.deepcopy(lens.clip.model)), [2, 0])
        found[rank] = collect_images(
            own,
            make_source(broken=(11,)),
            tmp_path / "many",
            FIELDS,
            budget=IN_MEMORY,
            processes=Shares(rank, count, barrier),
        )

    threads = [threading.Thread(target=work, args=(rank,)) for rank in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for rank in range(count):
        assert_same(alone, found[rank])
    names = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert names == sorted(path.name for path in (tmp_path / "many").iterdir())
    for name in names:
        if (tmp_path / "one" / name).is_file():
            one, many = (tmp_path / folder / name for folder in ("one", "many"))
            assert one.read_bytes() == many.read_bytes(), name


def test_no_readable_image(lens, make_source, tmp_path):
    for budget in (ON_DISK, IN_MEMORY):
        source = make_source(6, broken=tuple(range(6)))
        with pytest.raises(DataError, match=r"none of the 6 images.*picture 0 \(it is torn"):
            collect_images(lens, source, tmp_path / str(budget.memory), FIELDS, budget=budget)


def test_full_disk_keeps_what_is_done(lens, make_source, tmp_path, monkeypatch):
    pwrite, written = os.pwrite, []

    def full(descriptor, data, position):
        written.append(len(data))
        if len(written) > 20:
            raise OSError(28, "No space left on device")
        return pwrite(descriptor, data, position)

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(StoreError, match="No space left.*free the space and repeat"):
        collect_images(lens, make_source(), tmp_path, FIELDS, budget=ON_DISK)
    monkeypatch.setattr(os, "pwrite", pwrite)
    source = make_source()
    again = collect_images(lens, source, tmp_path, FIELDS, budget=ON_DISK)
    assert source.images.reads < 37
    assert_same(collect_images(lens, make_source(), tmp_path / "b", FIELDS, budget=ON_DISK), again)


def test_short_writes_are_finished(lens, make_source, tmp_path, monkeypatch):
    pwrite = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda f, data, at: pwrite(f, data[:1000], at))
    short = collect_images(lens, make_source(9), tmp_path / "a", FIELDS, budget=ON_DISK)
    monkeypatch.setattr(os, "pwrite", pwrite)
    assert_same(collect_images(lens, make_source(9), tmp_path / "b", FIELDS, budget=ON_DISK), short)


def test_budget_of_the_disk(lens, make_source, tmp_path):
    needed = pass_bytes(lens, 37, torch.float64)
    assert needed == 37 * 36 * (3 + 9) * 8
    enough = dataclasses.replace(ON_DISK, disk=needed)
    short = dataclasses.replace(ON_DISK, disk=needed - 1)
    assert fits_disk(lens, 37, tmp_path / "not" / "yet", enough)
    assert not fits_disk(lens, 37, tmp_path, short)
    with pytest.raises(StoreError, match="more than the budget"):
        collect_images(lens, make_source(), tmp_path, FIELDS, budget=short)
