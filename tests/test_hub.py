"""Access, tokens, revisions and faults, against a local server that speaks the Hub's protocol."""

import hashlib
import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from huggingface_hub import constants, errors

from advgen import hub
from advgen.catalogue import Need
from advgen.errors import ModelError

COMMIT = "0123456789abcdef0123456789abcdef01234567"
OLD = "89abcdef0123456789abcdef0123456789abcdef"
GATED = {"X-Error-Code": "GatedRepo"}
NOT_FOUND = {"X-Error-Code": "RepoNotFound"}
REFUSED = {"X-Error-Message": "Invalid credentials in Authorization header"}


class Hub(BaseHTTPRequestHandler):
    """Knows the tokens `good` (licences accepted), `new` (none accepted) and `narrow`."""

    asked: list[str] = []
    release = threading.Event()

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self.asked.append(self.path)
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        self.reply(*self.answer(self.path.split("?")[0].removeprefix("/api/"), token))

    def answer(self, path: str, token: str) -> tuple[int, dict[str, str], object]:
        if token not in ("", "good", "new", "narrow"):
            return 401, REFUSED, {}
        if path == "whoami-v2":
            return 200, {}, {"name": "someone"}
        _, owner, name, *rest = path.split("/")
        if rest[:1] == ["revision"] and rest[1] != "v1":
            return 404, {"X-Error-Code": "RevisionNotFound"}, {}
        if name == "slow":
            self.release.wait(20)
        if name == "broken":
            return 503, {}, {}
        if name not in ("open", "gated", "slow"):
            return (404 if token else 401), NOT_FOUND, {}
        if rest == ["auth-check"] and token != "good":
            code = 403 if token else 401
            return code, {} if token == "narrow" else GATED, {}
        gated = "manual" if name == "gated" else False
        return 200, {}, {"id": f"{owner}/{name}", "sha": COMMIT, "gated": gated}

    def reply(self, status: int, headers: dict[str, str], body: object) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No token, no cache, no Hub."""
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_OIDC_RESOURCE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    return tmp_path / "cache"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A Hub; the paths that it was asked for."""
    Hub.asked = []
    Hub.release.clear()
    listening = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=listening.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{listening.server_port}")
    yield Hub.asked
    Hub.release.set()
    listening.shutdown()
    listening.server_close()
    thread.join()


def put_into_cache(cache: Path, repo: str, files: dict[str, str]) -> None:
    folder = cache / f"models--{repo.replace('/', '--')}"
    for name, text in {"refs/main": COMMIT, **files}.items():
        path = folder / (name if name == "refs/main" else f"snapshots/{COMMIT}/{name}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.mark.parametrize(
    ("repo", "token", "state", "says"),
    [
        ("me/open", "", "open", "can be downloaded"),
        ("me/open", "new", "open", "can be downloaded"),
        ("me/gated", "good", "granted", "licence accepted"),
        ("me/gated", "new", "gated", "accept the licence at https://huggingface.co/me/gated"),
        ("me/gated", "narrow", "gated", "https://huggingface.co/settings/tokens"),
        ("me/gated", "", "no_token", "huggingface.co/me/gated, then run: hf auth login"),
        ("me/gated", "stale", "no_token", "refuses the token from HF_TOKEN"),
        ("me/other", "", "missing", "no public model 'me/other'"),
        ("me/other", "good", "missing", "no public model 'me/other'"),
        ("me/open@v1", "", "open", "can be downloaded"),
        ("me/open@v2", "", "missing", "'me/open' has no revision 'v2'"),
        ("me/o pen", "", "missing", "no name of a repository"),
        ("/no/folder", "", "missing", "no folder '/no/folder'"),
        ("a/b/c", "", "missing", "no folder 'a/b/c'"),
        ("", "", "missing", "no folder ''"),
        ("me/broken", "", "unreachable", "503"),
    ],
)
def test_access(
    repo: str,
    token: str,
    state: str,
    says: str,
    server: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    (access,) = hub.check_access([repo])
    assert (access.source, access.state) == (repo, state), access
    assert says in access.message and "\n" not in access.message
    assert access.usable == (state in ("open", "granted"))
    assert not token or token not in str(access).replace("HF_TOKEN", "").split()


def test_all_repositories_are_asked_at_once_and_answered_in_order(server: list[str]) -> None:
    needs = [Need("a", "me/slow"), Need("b", "me/open"), Need("c", "me/gated"), Need("d", "me/x")]
    found = hub.check_access(needs, seconds=1.0)
    assert [access.source for access in found] == [need.source for need in needs]
    assert [access.state for access in found] == ["unreachable", "open", "no_token", "missing"]


def test_a_hub_that_is_down_is_unreachable() -> None:
    (access,) = hub.check_access(["me/open"])
    assert access.state == "unreachable" and "check the network" in access.message


def test_a_folder_needs_no_hub(tmp_path: Path) -> None:
    (access,) = hub.check_access([str(tmp_path)])
    assert (access.state, access.page, access.usable) == ("folder", "", True)


@pytest.mark.parametrize(
    ("files", "wanted", "whole"),
    [
        ({"model.safetensors": "w"}, (), True),
        ({"config.json": "{}"}, (), False),
        ({"m.safetensors.index.json": "{}"}, (), False),
        ({"m.safetensors.index.json": "{}", "m-00001-of-00002.bin": ""}, (), False),
        ({"m-00001-of-00002.bin": "", "m-00002-of-00002.bin": ""}, (), True),
        (
            {
                "m.safetensors.index.fp16.json": "{}",
                "m.fp16-00001-of-00002.safetensors": "",
                "m-00002-of-00002.safetensors": "",
            },
            ("*.json", "*.safetensors"),
            False,
        ),
        (
            {
                "model_index.json": json.dumps({"unet": ["d", "UNet"], "vae": ["d", "VAE"]}),
                "unet/x.safetensors": "",
            },
            (),
            False,
        ),
        (
            {
                "model_index.json": json.dumps({"unet": ["d", "UNet"], "vae": ["d", "VAE"]}),
                "unet/x.safetensors": "",
            },
            ("model_index.json", "unet/*"),
            True,
        ),
        (
            {
                "model_index.json": json.dumps(
                    {
                        "_class_name": "P",
                        "unet": ["d", "UNet"],
                        "safety_checker": [None, None],
                        "scheduler": ["d", "DDPMScheduler"],
                    }
                ),
                "unet/x.safetensors": "",
            },
            (),
            True,
        ),
        ({"model_index.json": "not JSON", "unet/x.safetensors": ""}, (), False),
    ],
    ids=[
        "one file",
        "no weights",
        "no shard",
        "a shard is missing",
        "all shards",
        "shards of two sets",
        "a part is missing",
        "the part is not asked for",
        "parts without weights",
        "damaged",
    ],
)
def test_only_a_whole_copy_counts_as_cached(
    files: dict[str, str],
    wanted: tuple[str, ...],
    whole: bool,
    nothing_known: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    put_into_cache(nothing_known, "me/open", files)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    (access,) = hub.check_access([Need("any", "me/open", wanted)])
    assert access.state == ("cached" if whole else "unreachable"), access
    assert (hub.cached_folder("me/open", wanted) is not None) == whole


def test_offline_mode_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    (access,) = hub.check_access(["me/open"])
    assert access.state == "unreachable" and "HF_HUB_OFFLINE" in access.message


@pytest.mark.parametrize(
    ("token", "state", "user"),
    [("good", "valid", "someone"), ("stale", "refused", ""), ("", "none", "")],
)
@pytest.mark.parametrize("place", ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "file"])
def test_token_state(
    token: str,
    state: str,
    user: str,
    place: str,
    server: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if place == "file":
        (tmp_path / "token").write_text(token + "\n")
        place = str(tmp_path / "token")
    else:
        monkeypatch.setenv(place, token)
    found = hub.token_state()
    assert (found.state, found.user) == (state, user)
    assert found.where == ("" if state == "none" else place)
    assert bool(server) == (state != "none")
    if token:
        assert token not in repr(found).replace(str(tmp_path), "")
        assert hub.token_state(ask=False).state == "there"


def test_a_token_that_cannot_be_checked_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "good")
    assert hub.token_state() == hub.TokenState("there", "HF_TOKEN")


def test_revision_of_a_repository(server: list[str]) -> None:
    assert hub.pinned_revision("me/open") == COMMIT
    assert hub.pinned_revision("me/gated", "v1") == COMMIT
    assert hub.pinned_revision("me/open@v1") == COMMIT
    asked = len(server)
    assert hub.pinned_revision("me/anything", OLD) == OLD
    assert hub.pinned_revision(f"me/anything@{OLD}") == OLD
    assert len(server) == asked, "a commit says all"


@pytest.mark.parametrize(
    ("repo", "revision", "says"),
    [
        ("me/other", None, "no public model 'me/other'"),
        ("me/open", "v2", "'me/open' has no revision 'v2'"),
        ("me/open@v2", None, "'me/open' has no revision 'v2'"),
        ("me/broken", None, "cannot load 'me/broken'.*503"),
        ("me/o pen", None, "cannot load 'me/o pen'"),
    ],
)
def test_revision_that_cannot_be_had(
    repo: str, revision: str | None, says: str, server: list[str]
) -> None:
    with pytest.raises(ModelError, match=says) as caught:
        hub.pinned_revision(repo, revision)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("offline", [True, False])
def test_revision_without_a_network(
    offline: bool, nothing_known: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline)
    with pytest.raises(ModelError, match="'me/open' is not on this machine.*local folder"):
        hub.pinned_revision("me/open")
    put_into_cache(nothing_known, "me/open", {"model.safetensors": "w"})
    assert hub.pinned_revision("me/open") == COMMIT
    with pytest.raises(ModelError, match="is not on this machine"):
        hub.pinned_revision("me/open", "v1")


def test_a_copy_that_was_fetched_by_commit_is_found(
    nothing_known: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    put_into_cache(nothing_known, "me/open", {"model.safetensors": "w"})
    folder = nothing_known / "models--me--open"
    (folder / "refs" / "main").unlink()
    (folder / "snapshots" / OLD).mkdir()
    os.utime(folder / "snapshots" / OLD, (0, 0))
    assert hub.pinned_revision("me/open") == COMMIT
    assert hub.check_access(["me/open"])[0].state == "cached"
    assert hub.cached_folder(f"me/open@{COMMIT}") == folder / "snapshots" / COMMIT
    (folder / "refs" / "main").write_text(OLD)
    assert hub.cached_revision("me/open") == OLD
    assert hub.check_access(["me/open"])[0].state == "unreachable", "that one is empty"


def test_revision_of_a_folder_is_a_hash_of_names_and_contents(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    (folder / "unet").mkdir(parents=True)
    (folder / "b.json").write_text("{}")
    (folder / "unet" / "a.bin").write_bytes(b"weights")
    lines = "".join(
        f"{name}\0{hashlib.sha256(data).hexdigest()}\n"
        for name, data in (("b.json", b"{}"), ("unet/a.bin", b"weights"))
    )
    expected = hashlib.sha256(lines.encode()).hexdigest()[:12]
    assert hub.pinned_revision(str(folder)) == expected
    (folder / ".cache").mkdir()
    (folder / ".cache" / "date").write_text("today")
    assert hub.pinned_revision(str(folder), "main") == expected
    (folder / "unet" / "a.bin").rename(folder / "a.bin")
    assert hub.pinned_revision(str(folder)) != expected


def http(kind: type[Exception], status: int) -> Exception:
    response: Any = SimpleNamespace(status_code=status, headers={}, request=None, text="")
    return kind("first line\nsecond", response=response)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (http(errors.GatedRepoError, 403), "accept it at https://huggingface.co/me/it, then run"),
        (http(errors.RepositoryNotFoundError, 404), "no public model 'me/it'"),
        (http(errors.RevisionNotFoundError, 404), "'me/it' has no revision 'v9'"),
        (http(errors.HfHubHTTPError, 401), "refuses the token for 'me/it'"),
        (http(errors.HfHubHTTPError, 500), "cannot load 'me/it@v9': first line$"),
        (errors.LocalEntryNotFoundError("gone"), "'me/it' is not on this machine"),
        (errors.OfflineModeIsEnabled("off"), "'me/it' is not on this machine"),
        (ValueError("odd\nmore"), "cannot load 'me/it@v9': odd$"),
        (ValueError(), "cannot load 'me/it@v9': (ValueError|between)$"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
@pytest.mark.parametrize("wrapped", [False, True])
def test_faults_say_what_to_do(error: Exception, says: str, wrapped: bool) -> None:
    outer = error
    if wrapped:
        outer = OSError(str(error))
        outer.__cause__ = RuntimeError("between")
        outer.__cause__.__context__ = error
    with pytest.raises(ModelError, match=says) as caught:
        raise hub.hub_fault("me/it@v9", outer)
    assert "\n" not in str(caught.value)


def test_a_ring_of_causes_ends() -> None:
    first, second = ValueError("a"), ValueError("b")
    first.__cause__, second.__cause__ = second, first
    assert str(hub.hub_fault("me/it", first)) == "cannot load 'me/it': a"


@pytest.mark.parametrize("source", ["", "no/folder", "\0", "~nobody-of-that-name/x"])
def test_what_is_no_folder(source: str) -> None:
    assert not hub.is_folder(source)
