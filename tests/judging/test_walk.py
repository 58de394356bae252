import dataclasses
import os
import shutil
import signal
import time
from collections.abc import Sequence

import pytest
from PIL import Image

from advgen.attack.records_file import write_records
from advgen.decisions import read_judgements
from advgen.errors import DataError, GenerationError, ModelError, RunError, SandboxError
from advgen.generation.layout import RunLayout
from advgen.judging.judgement_file import JudgementFile, read_written
from advgen.judging.specs import open_judge
from advgen.judging.walk import Choice, Judged, Skipped, judge_run
from advgen.records import ClassPair, Verdict
from advgen.scoring.judges import Look, OneByOne

SMALL, BLANK = Choice(batch_size=3), Image.new("RGB", (4, 4))


class Watcher:
    """Says how bright an image is, keeps what it saw, and fails when told to."""

    name = "watcher:x/y z"

    def __init__(self, revision: str = "1", fail_at: int | None = None, refuse: int = 0) -> None:
        self.revision, self.fail_at, self.refuse = revision, fail_at, refuse
        self.batches: list[int] = []

    def judge(self, image, truth, pair) -> Verdict:
        return self.judge_many([Look(image, pair, truth)])[0]

    def judge_many(self, looks: Sequence[Look]) -> list[Verdict]:
        if len(self.batches) == self.fail_at:
            raise ModelError("the server went away")
        self.batches.append(len(looks))
        found = [self._seen(look) for look in looks]
        if any(verdict.true_present == self.refuse for verdict in found):
            raise GenerationError("neither yes nor no")
        return found

    def _seen(self, look: Look) -> Verdict:
        assert look.pair == ClassPair("dog", "deer")
        pixels = look.image.tobytes()
        return Verdict(self.name, sum(pixels) / len(pixels) / 255, float(bool(look.truth)))

    def close(self) -> None:
        pass


def file_of(layout: RunLayout):
    return layout.judgements / "watcher_x_y_z.jsonl"


def test_every_image_is_judged_once_in_batches(write_run) -> None:
    layout, samples = write_run(images=8)
    watcher = Watcher()
    done = judge_run(layout, watcher, SMALL)
    assert done == Judged(watcher.name, "1", 8, 0, 8, ())
    assert watcher.batches == [3, 3, 2]
    rows = read_judgements(file_of(layout))
    assert [(row.id, row.sha256) for row in rows] == [(row.id, row.sha256) for row in samples]
    assert {(row.judge, row.revision, row.p_target_absent) for row in rows} == {
        (watcher.name, "1", 1.0)
    }
    again = judge_run(layout, watcher, SMALL)
    assert again == Judged(watcher.name, "1", 8, 8, 0, ())
    assert watcher.batches == [3, 3, 2]


def test_only_some_images_are_judged_when_asked(write_run) -> None:
    layout, samples = write_run(images=8)
    watcher = Watcher()
    judge_run(layout, watcher, Choice(limit=2, only_fooled=True))
    assert [row.id for row in read_judgements(file_of(layout))] == [samples[0].id, samples[3].id]
    assert judge_run(layout, watcher, Choice(only_fooled=True)).before == 2
    assert judge_run(layout, watcher, Choice(batch_size=4)).looked == 5
    assert [row.id for row in read_judgements(file_of(layout))] == [row.id for row in samples]
    with pytest.raises(ValueError, match="at least 1"):
        Choice(batch_size=0)


def test_after_a_fault_the_rest_is_judged_and_the_bytes_are_the_same(write_run) -> None:
    layout, _ = write_run("one", images=10)
    other, _ = write_run("two", images=10)
    with pytest.raises(ModelError, match="went away"):
        judge_run(layout, Watcher(fail_at=2), SMALL)
    assert len(read_judgements(file_of(layout))) == 6
    with open(file_of(layout), "ab") as file:
        file.write(b'{"id": "dog-deer/m/r0/i006", "judge": "watch')
    assert len(read_written(file_of(layout))) == 6
    watcher = Watcher()
    assert judge_run(layout, watcher, SMALL).before == 6
    assert watcher.batches == [3, 1]
    judge_run(other, Watcher(), SMALL)
    assert file_of(layout).read_bytes() == file_of(other).read_bytes()


def test_a_batch_that_was_torn_is_looked_at_whole_again(write_run) -> None:
    layout, _ = write_run(images=6)
    judge_run(layout, Watcher(), SMALL)
    whole = file_of(layout).read_bytes()
    file_of(layout).write_bytes(whole[: whole.index(b"\n", whole.index(b"\n") + 1) + 30])
    watcher = Watcher()
    done = judge_run(layout, watcher, SMALL)
    assert (done.before, done.looked, watcher.batches) == (2, 4, [3, 3])
    assert file_of(layout).read_bytes() == whole


def test_changed_images_and_judges_are_looked_at_again(write_run, make_sample) -> None:
    layout, samples = write_run(images=4)
    judge_run(layout, Watcher(), SMALL)
    fresh, other = write_run("fresh", images=5)
    moved = [samples[0], *[_at(samples[n], other[4]) if n == 1 else samples[n] for n in (1, 2, 3)]]
    shutil.copy(fresh.root / other[4].path, layout.root / samples[1].path)
    write_records(moved, layout.records)
    assert judge_run(layout, Watcher(), SMALL).looked == 1
    rows = {row.id: row.sha256 for row in read_judgements(file_of(layout))}
    assert rows == {row.id: row.sha256 for row in moved}
    assert judge_run(layout, Watcher(revision="2"), Choice(limit=1)).looked == 1
    revisions = [row.revision for row in read_judgements(file_of(layout))]
    assert revisions == ["2", "1", "1", "1"]
    write_records(moved[:2], layout.records)
    judge_run(layout, Watcher(revision="2"), SMALL)
    assert [row.revision for row in read_judgements(file_of(layout))] == ["2", "2"]


def _at(sample, other):
    return dataclasses.replace(sample, sha256=other.sha256)


def test_images_that_cannot_be_judged_are_named_and_the_rest_goes_on(write_run) -> None:
    layout, samples = write_run(images=6)
    paths = [layout.root / sample.path for sample in samples]
    paths[0].unlink()
    paths[1].write_bytes(paths[1].read_bytes()[:-9])
    outside = _renamed(samples[2], "../outside.png")
    shutil.copy(paths[2], layout.root.parent / "outside.png")
    write_records([*samples[:2], outside, *samples[3:]], layout.records)
    done = judge_run(layout, Watcher(), SMALL)
    assert (done.looked, done.images) == (3, 6)
    assert [(fault.id, fault.reason) for fault in done.skipped] == [
        (samples[0].id, "cannot read images/i000.png (No such file or directory)"),
        (samples[1].id, "images/i001.png is not the image that was scored; repeat the attack"),
        (samples[2].id, "../outside.png lies outside the run"),
    ]
    assert [row.id for row in read_judgements(file_of(layout))] == [row.id for row in samples[3:]]
    shutil.copy(write_run("again")[0].root / samples[0].path, paths[0])
    assert judge_run(layout, Watcher(), SMALL).looked == 1


def _renamed(sample, path: str):
    return dataclasses.replace(sample, path=path)


def test_one_image_without_an_answer_does_not_cost_its_neighbours(write_run) -> None:
    layout, samples = write_run(images=4)
    judge_run(layout, Watcher(), SMALL)
    brightness = read_judgements(file_of(layout))[1].p_true_present
    stubborn = Watcher(revision="2", refuse=brightness)  # type: ignore[arg-type]
    done = judge_run(layout, stubborn, SMALL)
    assert done.skipped == (Skipped(samples[1].id, "neither yes nor no"),)
    assert done.looked == 3
    assert stubborn.batches == [3, 1, 1, 1, 1]


@pytest.mark.parametrize("answer", [(None, 1.0), (1.0, float("nan")), (1.5, 0.0)])
def test_what_is_no_probability_is_not_written(answer, write_run) -> None:
    layout, _ = write_run(images=1)

    class Odd(Watcher):
        def _seen(self, look: Look) -> Verdict:
            return Verdict(self.name, *answer)

    done = judge_run(layout, Odd(refuse=-1))
    assert [fault.reason for fault in done.skipped] == [f"{Odd.name} gave no probability"]
    assert not file_of(layout).exists()


def test_the_exact_judge_reads_the_truth_in_the_images(write_run) -> None:
    layout, samples = write_run(images=4)
    judge_run(layout, open_judge("sandbox"))
    rows = read_judgements(layout.judgements / "sandbox.jsonl")
    assert [(row.p_true_present, row.p_target_absent) for row in rows] == [
        (1.0, 1.0),
        (1.0, 0.0),
        (0.0, 1.0),
        (0.0, 0.0),
    ]
    assert {(row.judge, row.revision) for row in rows} == {("sandbox", "exact")}


def test_the_exact_judge_refuses_other_runs(write_run, monkeypatch) -> None:
    layout, _ = write_run(images=1)
    monkeypatch.setattr("advgen.judging.walk.decode_png", lambda data: (BLANK, {"truth": {}}))
    with pytest.raises(SandboxError, match="choose another judge"):
        judge_run(layout, open_judge("sandbox"))


def test_a_run_without_records_and_a_damaged_file_are_named(write_run, tmp_path) -> None:
    with pytest.raises(RunError, match=r"records\.parquet"):
        judge_run(RunLayout(tmp_path / "none"), Watcher())
    layout, _ = write_run(images=1)
    layout.judgements.mkdir()
    file_of(layout).write_text('{"id": 3}\n')
    with pytest.raises(DataError, match=r"watcher_x_y_z\.jsonl, line 1: not a judgement"):
        judge_run(layout, Watcher())
    assert not JudgementFile(layout, "other").open()


class Stuck(OneByOne):
    """Looks at ten images and then waits to be killed."""

    looked = 0

    def judge_many(self, looks: Sequence[Look]) -> list[Verdict]:
        if self.looked >= 10:
            signal.pause()
        self.looked += len(looks)
        return super().judge_many(looks)


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_killed_process_loses_no_finished_batch(write_run) -> None:
    layout, samples = write_run("killed", images=60)
    other, _ = write_run("whole", images=60)
    path, exact = layout.judgements / "sandbox.jsonl", open_judge("sandbox")
    pairs = Choice(batch_size=2)
    child = os.fork()
    if child == 0:
        try:
            judge_run(layout, Stuck(exact), pairs)
        finally:
            os._exit(0)
    while not (path.is_file() and path.read_bytes().count(b"\n") == 10):
        assert os.waitpid(child, os.WNOHANG)[0] == 0
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    kept = read_written(path)
    assert len(kept) == 10
    assert [row.id for row in kept] == [row.id for row in samples[: len(kept)]]
    done = judge_run(layout, exact, pairs)
    assert (done.before, done.looked) == (len(kept), 60 - len(kept))
    judge_run(other, exact)
    assert path.read_bytes() == (other.judgements / "sandbox.jsonl").read_bytes()
