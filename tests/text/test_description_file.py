import hashlib
import json
from pathlib import Path

import pytest

from advgen.chat import Message, Reply, load_prompt
from advgen.errors import GenerationError, ModelError, RunError
from advgen.text.description_file import DescriptionJob, DescriptionResult, left_to_ask, run_job
from advgen.text.descriptions import PROMPT, DescribeSettings
from advgen.text.pools import read_pool_file

CLASSES = ("cat", "dog", "fox", "owl")


class Counting:
    """Two texts of each class that depend on class and seed; `faults` break at a class."""

    def __init__(
        self, faults: dict[str, BaseException | str] | None = None, **attributes: str
    ) -> None:
        self.name = attributes.get("name", "counting")
        self.revision = attributes.get("revision", "r1")
        self.faults = faults or {}
        self.asked: list[str] = []
        self.closed = False

    def complete(
        self,
        messages: list[Message],
        *,
        max_tokens: int,
        temperature: float | None = None,
        seed: int = 0,
    ) -> Reply:
        name = next(one for one in CLASSES if f"of this: {one}." in messages[-1].content)
        self.asked.append(name)
        fault = self.faults.get(name)
        if isinstance(fault, BaseException):
            raise fault
        if isinstance(fault, str):
            return Reply(fault, "stop", 5, 0, "m")
        return Reply(f"- Image at night\n- {name} {seed}", "stop", 5, 2, "m")

    def close(self) -> None:
        self.closed = True


def job(folder: Path, classes: tuple[str, ...] = CLASSES, **settings: int) -> DescriptionJob:
    return DescriptionJob(
        out=folder / "pool.txt",
        classes=classes,
        llm="counting",
        prompt=load_prompt(PROMPT),
        settings=DescribeSettings(**{"per_class": 2, "seed": 7, **settings}),
    )


def run(one: DescriptionJob, chat: Counting) -> DescriptionResult:
    return run_job(one, lambda: chat)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_the_pool_its_manifest_and_its_log(tmp_path: Path) -> None:
    chat = Counting()
    done: list[str] = []
    result = run_job(job(tmp_path), lambda: chat, lambda one: done.append(one.class_name))
    assert result == DescriptionResult(texts=5, asked=4, silent=(), short=())
    assert (done, chat.asked, chat.closed) == (list(CLASSES), list(CLASSES), True)
    assert sorted(files(tmp_path)) == ["pool.json", "pool.jsonl", "pool.txt"]
    data = (tmp_path / "pool.txt").read_bytes()
    pool = read_pool_file(tmp_path / "pool.txt")
    assert pool.texts[0] == "Image at night" and pool.notes == ()
    manifest = json.loads((tmp_path / "pool.json").read_text())
    assert manifest["pool_sha256"] == pool.sha256
    assert manifest["file_sha256"] == hashlib.sha256(data).hexdigest()
    assert (manifest["model"], manifest["revision"], manifest["seed"]) == ("counting", "r1", 7)
    assert load_prompt(PROMPT).revision in manifest["prompt"]
    assert [entry["kept"] for entry in manifest["classes"]] == [2, 2, 2, 2]
    assert [entry["class_name"] for entry in manifest["repeated"]] == ["dog", "fox", "owl"]
    assert (manifest["prompt_tokens"], manifest["answered_by"]) == (20, ["m"])


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    for name, seed in (("a", 7), ("b", 7), ("c", 8)):
        run(job(tmp_path / name, seed=seed), Counting())
    assert files(tmp_path / "a") == files(tmp_path / "b")
    assert files(tmp_path / "a")["pool.txt"] != files(tmp_path / "c")["pool.txt"]


@pytest.mark.parametrize("torn", [b"", b'{"class_name":"fox","ke', b"\xff\xfe"])
@pytest.mark.parametrize("stop", ["dog", "fox"])
def test_a_stopped_job_asks_nothing_twice_and_ends_the_same(
    stop: str, torn: bytes, tmp_path: Path
) -> None:
    run(job(tmp_path / "whole"), Counting())
    broken = Counting({stop: KeyboardInterrupt()})
    with pytest.raises(KeyboardInterrupt):
        run(job(tmp_path / "part"), broken)
    log = tmp_path / "part" / "pool.jsonl"
    assert sorted(files(tmp_path / "part")) == ["pool.jsonl"]
    log.write_bytes(log.read_bytes() + torn)
    left = CLASSES[CLASSES.index(stop) :]
    assert left_to_ask(job(tmp_path / "part")) == len(left)
    chat = Counting()
    run(job(tmp_path / "part"), chat)
    assert chat.asked == list(left)
    assert files(tmp_path / "part") == files(tmp_path / "whole")


def test_a_finished_job_asks_nobody(tmp_path: Path) -> None:
    run(job(tmp_path), Counting())
    before = files(tmp_path)
    (tmp_path / "pool.txt").unlink()

    def never() -> Counting:
        raise AssertionError("opened")

    assert run_job(job(tmp_path), never).asked == 0
    assert files(tmp_path) == before


def test_more_classes_are_added_and_only_those_asked_for(tmp_path: Path) -> None:
    run(job(tmp_path, CLASSES[:2]), Counting())
    chat = Counting()
    run(job(tmp_path), chat)
    assert chat.asked == ["fox", "owl"]
    run(job(tmp_path / "whole"), Counting())
    assert (tmp_path / "pool.txt").read_bytes() == (tmp_path / "whole/pool.txt").read_bytes()


def test_a_class_without_a_text_is_named_and_asked_for_again(tmp_path: Path) -> None:
    refusal = "I'm sorry, I can't."
    result = run(job(tmp_path, rounds=2), Counting({"dog": refusal, "owl": "Image of wings"}))
    assert (result.silent, result.short) == (("dog",), ("owl",))
    manifest = json.loads((tmp_path / "pool.json").read_text())
    wanted = {"class_name": "dog", "text": refusal, "reason": "refusal"}
    assert [line for line in manifest["dropped"] if line["class_name"] == "dog"] == [wanted] * 2
    chat = Counting()
    result = run(job(tmp_path, rounds=2), chat)
    assert (chat.asked, result.silent) == (["dog"], ())
    manifest = json.loads((tmp_path / "pool.json").read_text())
    assert [entry["rounds"] for entry in manifest["classes"]] == [1, 3, 1, 2]


def test_nothing_at_all_is_an_error_that_counts_the_reasons(tmp_path: Path) -> None:
    silent = Counting({"cat": "", "dog": GenerationError("garbage")})
    with pytest.raises(GenerationError, match=r"no class got a description \(3 empty, 3 no_reply"):
        run(job(tmp_path, CLASSES[:2]), silent)
    assert sorted(files(tmp_path)) == ["pool.jsonl"]


def test_a_server_that_goes_down_leaves_what_is_done(tmp_path: Path) -> None:
    chat = Counting({"fox": ModelError("down")})
    with pytest.raises(ModelError, match="down"):
        run(job(tmp_path), chat)
    assert chat.closed
    assert left_to_ask(job(tmp_path)) == 2


@pytest.mark.parametrize(
    ("change", "chat", "says"),
    [
        ({"seed": 8}, {}, "seed 7, now 8"),
        ({"per_class": 5}, {}, "per_class 2, now 5"),
        ({}, {"revision": "r2"}, "revision r1, now r2"),
        ({}, {"name": "other"}, "model counting, now other"),
    ],
)
def test_a_job_begun_otherwise_is_not_continued(
    change: dict[str, int], chat: dict[str, str], says: str, tmp_path: Path
) -> None:
    run(job(tmp_path, CLASSES[:2]), Counting())
    before = files(tmp_path)
    with pytest.raises(RunError, match=says):
        run(job(tmp_path, **change), Counting(**chat))
    assert files(tmp_path) == before


@pytest.mark.parametrize("name", ["pool.txt", "pool.json"])
def test_a_file_of_somebody_else_is_not_overwritten(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("mine\n")
    with pytest.raises(RunError, match=f"{name} exists but pool.jsonl does not"):
        run(job(tmp_path), Counting())
    assert (tmp_path / name).read_text() == "mine\n"


@pytest.mark.parametrize("line", ["not json", "[1]", '{"class_name": "dog"}'])
def test_a_log_that_is_none_is_refused_by_line(line: str, tmp_path: Path) -> None:
    run(job(tmp_path, ("cat",)), Counting())
    with open(tmp_path / "pool.jsonl", "a") as file:
        file.write(f"{line}\n")
    with pytest.raises(RunError, match="pool.jsonl, line 3: not written by this command"):
        run(job(tmp_path), Counting())
