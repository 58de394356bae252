import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from click.testing import CliRunner, Result

from advgen.cli import main

CLASSES = ["cat", "dog", "fox"]


class ChatServer:
    """Answers each class with three descriptions; at `hold` it waits until it is let go."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.hold: str | None = None
        self.held, self.go = Event(), Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                asked = body["messages"][-1]["content"]
                name = next(one for one in CLASSES if f"of this: {one}." in asked)
                if name == outer.hold:
                    outer.held.set()
                    outer.go.wait(60)
                    return
                outer.asked.append(name)
                lines = ["Image at night", f"{name} from {body['seed']}", f"Picture of a {name}"]
                message = {"role": "assistant", "content": "Sure:\n- " + "\n- ".join(lines)}
                choice = {"index": 0, "finish_reason": "stop", "message": message}
                data = json.dumps({"model": "m", "choices": [choice]}).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def spec(self) -> str:
        return f"openai:tiny@http://127.0.0.1:{self._server.server_port}/v1"

    def close(self) -> None:
        self.go.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ChatServer]:
    pytest.importorskip("openai")
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    running = ChatServer()
    yield running
    running.close()


def describe_arguments(server: ChatServer, out: Path, *more: str) -> list[str]:
    chosen = ["--classes", ",".join(CLASSES), "--llm", server.spec, "--out", str(out)]
    return ["pool", "describe", *chosen, "--per-class", "3", *more]


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments), catch_exceptions=False)


def test_describe_writes_a_pool_and_says_so(server: ChatServer, tmp_path: Path) -> None:
    out = tmp_path / "pets.txt"
    result = run(*describe_arguments(server, out))
    assert (result.exit_code, result.stdout) == (0, f"{out}: 7 descriptions of 3 classes\n")
    assert server.asked == CLASSES
    lines = out.read_text(encoding="utf-8").splitlines()
    assert (len(lines), lines[0], lines[-1]) == (7, "Image at night", "Picture of a fox")
    manifest = json.loads(out.with_suffix(".json").read_text(encoding="utf-8"))
    assert (manifest["llm"], manifest["texts"]) == (server.spec, 7)
    again = run(*describe_arguments(server, out))
    assert again.stdout == result.stdout
    assert "3 of 3 done before" in again.stderr
    assert server.asked == CLASSES


def test_a_killed_command_continues_to_the_same_bytes(server: ChatServer, tmp_path: Path) -> None:
    whole, part = tmp_path / "whole.txt", tmp_path / "part" / "whole.txt"
    run(*describe_arguments(server, whole))
    server.asked.clear()
    server.hold = "fox"
    command = [sys.executable, "-m", "advgen", *describe_arguments(server, part)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    try:
        assert server.held.wait(120), process.stderr
    finally:
        process.send_signal(getattr(signal, "SIGKILL", signal.SIGTERM))
        process.communicate()
    assert [path.name for path in part.parent.iterdir()] == ["whole.jsonl"]
    server.hold = None
    server.go.set()
    result = run(*describe_arguments(server, part))
    assert result.exit_code == 0, result.stderr
    assert server.asked == CLASSES
    assert "2 of 3 done before" in result.stderr
    for suffix in (".txt", ".json", ".jsonl"):
        assert part.with_suffix(suffix).read_bytes() == whole.with_suffix(suffix).read_bytes()


def test_a_dry_run_shows_the_question_and_asks_nobody(server: ChatServer, tmp_path: Path) -> None:
    result = run(*describe_arguments(server, tmp_path / "x.txt", "--dry-run"))
    assert result.exit_code == 0
    assert result.stdout.startswith("[system]\n") and "of this: cat." in result.stdout
    assert "3 of 3 classes would be asked for" in result.stderr
    assert (server.asked, list(tmp_path.iterdir())) == ([], [])


def test_classes_that_come_out_short_are_named(server: ChatServer, tmp_path: Path) -> None:
    arguments = describe_arguments(server, tmp_path / "x.txt", "--rounds", "1")
    result = run(*arguments, "--per-class", "4")
    assert result.exit_code == 0
    assert "3 classes gave fewer than 4: cat, dog, fox" in result.stderr


@pytest.mark.parametrize(
    ("changes", "code", "says"),
    [
        ({"--llm": "gpt"}, 1, "is not a chat model; write openai:MODEL@BASE_URL"),
        ({"--llm": "openai:gpt-4o"}, 1, "OpenAI's server needs a key; set OPENAI_API_KEY"),
        ({"--llm": "llama:./nowhere"}, 1, "there is no model folder ./nowhere"),
        ({"--classes": "nowhere.txt"}, 1, "there is no file nowhere.txt"),
        ({"--out": "{tmp}/x.json"}, 2, "does not end in .txt"),
        ({"--per-class": "0"}, 2, "--per-class"),
        ({"--temperature": "3"}, 2, "--temperature"),
        ({"--timeout": "0"}, 2, "--timeout"),
        ({"--seed": "-1"}, 2, "--seed"),
        ({"--dtype": "int3"}, 2, "--dtype"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    server: ChatServer, changes: dict[str, str], code: int, says: str, tmp_path: Path
) -> None:
    chosen = {"--classes": "cat", "--llm": server.spec, "--out": "{tmp}/x.txt", **changes}
    words = [word.format(tmp=tmp_path) for pair in chosen.items() for word in pair]
    result = run("pool", "describe", *words)
    assert result.exit_code == code
    assert says in result.stderr.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []


def test_another_seed_is_not_mixed_in(server: ChatServer, tmp_path: Path) -> None:
    arguments = describe_arguments(server, tmp_path / "x.txt")
    run(*arguments)
    result = run(*arguments, "--seed", "1")
    assert result.exit_code == 1
    assert "was begun otherwise (seed 0, now 1); choose another --out" in result.stderr


def test_show_prints_size_digest_texts_and_notes(tmp_path: Path) -> None:
    path = tmp_path / "pool.txt"
    path.write_bytes(b"hay\r\nred car\t\n\nhay\n" + b"".join(b"w%d\n" % n for n in range(9)))
    result = run("pool", "show", str(path))
    first = result.stdout.splitlines()
    assert first[0].startswith(f"{path}: 11 texts, sha256 ")
    assert first[1:] == ["  hay", "  red car", "  w0", "  w1", "  w2"]
    notes = ["line 3: blank, left out", "line 4: repeats line 1, left out"]
    assert result.stderr.splitlines() == [f"note: {note}" for note in notes]
    values = json.loads(run("pool", "show", str(path), "--json").stdout)
    assert first[0].endswith(values.pop("sha256"))
    shown = ["hay", "red car", "w0", "w1", "w2"]
    assert values == {"name": str(path), "texts": 11, "first": shown, "notes": notes}


def test_show_of_a_pool_that_is_not_made_says_how_to_make_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADVGEN_CACHE", str(tmp_path))
    result = run("pool", "show", "imagenet-descriptions")
    assert result.exit_code == 1
    assert f"--out '{tmp_path / 'pools' / 'imagenet-descriptions.txt'}'" in result.stderr
    assert len(result.stderr.splitlines()) == 1
