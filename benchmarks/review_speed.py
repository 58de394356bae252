"""The review page on a large run: how fast it answers, and whether it loses votes.

    python -m benchmarks.review_speed --rows 100000 --votes 10000 [--out FILE.json]

Rows are synthetic and share a few images. Speed: medians in milliseconds, of the store alone and
through the page (uvicorn on loopback), for a reviewer who has voted on a third of the run already.
Votes: eight processes post them while the server is killed (SIGKILL) and started again; clients
send a vote again with the same token until it is acknowledged. Exits with 1 where a vote is lost
or kept twice.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from PIL import Image

from advgen.generation.layout import RunLayout, encode_png
from advgen.records import Sample
from advgen.review import Filters, ReviewStore
from advgen.review import ballot as ballots
from advgen.store import write_atomic

PAIRS = (("dog", "deer"), ("cat", "owl"), ("ship", "truck"), ("bird", "frog"))
METHODS = ("second-order", "random", "indirect")
REVIEWERS = 8
TRIALS = 40


def make_run(root: Path, rows: int) -> Path:
    """A run directory with so many rows over twenty images."""
    from advgen.attack.records_file import write_records

    images = []
    for number in range(20):
        data = encode_png(Image.new("RGB", (64, 64), (12 * number, 120, 90)), {"number": number})
        path = root / "images" / f"{number}.png"
        write_atomic(path, data)
        images.append((f"images/{number}.png", hashlib.sha256(data).hexdigest()))
    write_records([row_of(number, images) for number in range(rows)], RunLayout(root).records)
    return root


def row_of(number: int, images: list[tuple[str, str]]) -> Sample:
    """One synthetic row."""
    true, target = PAIRS[number % len(PAIRS)]
    path, sha256 = images[number % len(images)]
    return Sample(
        id=f"{true}-{target}/d{number:06d}",
        true_class=true,
        target_class=target,
        method=METHODS[number // 4 % len(METHODS)],
        repeat=0,
        description_id=f"s{number:06d}",
        description=f"a {true} beside a mossy pond with {number} mushrooms",
        words=("mossy", "mushroom"),
        undrawn=(),
        attacked_model="synthetic",
        weights_sha256="",
        describer="synthetic",
        synthesizer="synthetic",
        cos_true=0.3,
        cos_target=0.2,
        margin=-0.1,
        prob_target=0.4,
        fooled=number % 5 == 0,
        judge="none" if number % 7 == 0 else "synthetic",
        p_true_present=None if number % 7 == 0 else 0.9,
        p_target_absent=None if number % 7 == 0 else 0.8,
        verified=number % 7 != 0,
        seed=number,
        sha256=sha256,
        path=path,
        truth="",
    )


def vote_on_a_third(store: ReviewStore, reviewer: str, rows: int) -> None:
    """Votes of a reviewer who is far into the run, in one transaction."""
    numbers = range(0, rows, 3)
    with store._database.writing() as connection:
        names = [row[0] for row in connection.execute("SELECT id FROM items ORDER BY number")]
        for number in numbers:
            answer = ballots.Answer(True, False)
            ballots.cast(connection, reviewer, names[number], answer, f"before-{number}")


def median_ms(call: Callable[[], Any], trials: int = TRIALS) -> float:
    """Median of the wall time of a call, ms."""
    taken = []
    for _ in range(trials):
        started = time.perf_counter()
        call()
        taken.append(time.perf_counter() - started)
    return round(1000 * statistics.median(taken), 2)


def speed_of_store(store: ReviewStore) -> dict[str, float]:
    """Medians of what the page asks of the store, ms."""
    tokens = iter(range(10**6))
    rare = Filters(pair="dog:deer", method="indirect", unjudged=True, fooled=True)
    none = Filters(disagreement=True)

    def vote_and_go_on() -> None:
        item = store.next_item("busy")
        if item is not None:
            store.vote("busy", item.id, True, False, token=f"speed-{next(tokens)}")

    return {
        "next image, busy reviewer": median_ms(lambda: store.next_item("busy")),
        "next image, new reviewer": median_ms(lambda: store.next_item("new")),
        "next image, four filters": median_ms(lambda: store.next_item("busy", rare)),
        "next image, nothing matches": median_ms(lambda: store.next_item("busy", none)),
        "vote and next image": median_ms(vote_and_go_on),
        "page of 60": median_ms(lambda: store.page("busy")),
        "page of 60, four filters": median_ms(lambda: store.page("busy", rare)),
        "progress": median_ms(lambda: store.counts("busy")),
        "menus": median_ms(lambda: (store.pairs(), store.methods())),
    }


def speed_of_page(url: str) -> dict[str, float]:
    """Medians of the page's answers, ms."""
    with entered(url, "busy") as (client, csrf):
        tokens = iter(range(10**6))
        item = client.get("/api/next").raise_for_status().json()["item"]["id"]

        def vote() -> None:
            nonlocal item
            answer = post_vote(client, csrf, item, f"page-{next(tokens):06d}").raise_for_status()
            item = answer.json()["item"]["id"]

        def picture() -> None:
            client.get(f"/image/{item}").raise_for_status()

        return {
            "first page": median_ms(lambda: client.get("/").raise_for_status()),
            "overview": median_ms(lambda: client.get("/images").raise_for_status()),
            "next image": median_ms(lambda: client.get("/api/next").raise_for_status()),
            "vote and next image": median_ms(vote),
            "picture": median_ms(picture),
        }


@contextmanager
def entered(url: str, reviewer: str) -> Iterator[tuple[httpx.Client, str]]:
    """A client that has said who it is, and the word that its posts carry."""
    with httpx.Client(base_url=url, timeout=30, trust_env=False, verify=False) as client:
        client.cookies.set("advgen_reviewer", reviewer)
        yield client, client.get("/api/session").raise_for_status().json()["csrf"]


def post_vote(client: httpx.Client, csrf: str, item: str, token: str) -> httpx.Response:
    """Post one vote."""
    return client.post(
        "/api/votes",
        json={
            "csrf": csrf,
            "item": item,
            "true_visible": True,
            "target_visible": False,
            "token": token,
        },
    )


def post_share(url: str, reviewer: str, items: list[str], acknowledged: Any) -> None:
    """Post a vote on each item; after a fault come in again and repeat with the same token."""
    left = list(items)
    until = time.monotonic() + 600
    while left and time.monotonic() < until:
        try:
            with entered(url, reviewer) as (client, csrf):
                while left:
                    post_vote(client, csrf, left[-1], f"t-{left[-1]}").raise_for_status()
                    left.pop()
                    with acknowledged.get_lock():
                        acknowledged.value += 1
        except httpx.HTTPError:
            time.sleep(0.25)


@contextmanager
def served(database: Path, port: int) -> Iterator[subprocess.Popen]:
    """The page in a process of its own; killed at the end."""
    command = [sys.executable, "-m", "benchmarks.review_speed", "--serve", str(database)]
    process = subprocess.Popen([*command, "--port", str(port)])
    try:
        wait_for(port, process)
        yield process
    finally:
        process.kill()
        process.wait()


def wait_for(port: int, process: subprocess.Popen) -> None:
    """Return when the server listens."""
    for _ in range(1200):
        if process.poll() is not None:
            raise SystemExit("the server did not start")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise SystemExit("the server does not listen")


def serve(database: Path, port: int) -> None:
    """Serve the page of a review."""
    import uvicorn

    from advgen.review.app import create_app

    with ReviewStore.open(database, []) as store:
        uvicorn.run(create_app(store), host="127.0.0.1", port=port, log_level="error")


def post_under_kills(database: Path, votes: int, kills: int) -> dict[str, Any]:
    """Eight processes post votes while the server is killed; what was kept in the end."""
    names = [f"reviewer {number}" for number in range(REVIEWERS)]
    with ReviewStore.open(database, []) as store:
        items = [item.id for item in store.page("anyone", limit=votes)]
    shares = [items[number::REVIEWERS] for number in range(REVIEWERS)]
    port = free_port()
    acknowledged = multiprocessing.Value("i", 0)
    arguments = [(f"http://127.0.0.1:{port}", *both) for both in zip(names, shares, strict=True)]
    clients = [
        multiprocessing.Process(target=post_share, args=(*some, acknowledged), daemon=True)
        for some in arguments
    ]
    started, killed_at = time.perf_counter(), []
    for client in clients:
        client.start()
    for kill in range(kills + 1):
        with served(database, port) as server:
            goal = votes * (kill + 1) // (kills + 1)
            while acknowledged.value < goal and any(client.is_alive() for client in clients):
                time.sleep(0.02)
            if kill < kills:
                server.send_signal(signal.SIGKILL)
                killed_at.append(acknowledged.value)
            else:
                for client in clients:
                    client.join()
    seconds = time.perf_counter() - started
    kept, doubles = kept_votes(database, dict(zip(names, shares, strict=True)))
    return {
        "sent": len(items),
        "acknowledged": acknowledged.value,
        "kept": kept,
        "kept twice": doubles,
        "killed after": killed_at,
        "votes per second": round(len(items) / seconds),
    }


def kept_votes(database: Path, shares: dict[str, list[str]]) -> tuple[int, int]:
    """How many of the votes are in the review, and how many rows are there beyond one each."""
    kept = doubles = 0
    with ReviewStore.open(database, []) as store:
        for reviewer, items in shares.items():
            found = [vote.item_id for vote in store.history(reviewer, limit=10**7)]
            kept += len(set(found) & set(items))
            doubles += len(found) - len(set(found))
    return kept, doubles


def free_port() -> int:
    """A port that nobody listens on, below those that connections take for themselves."""
    for port in random.sample(range(20_000, 30_000), 100):
        try:
            socket.create_server(("127.0.0.1", port)).close()
            return port
        except OSError:
            continue
    raise SystemExit("no port is free")


def measure(folder: Path, rows: int, votes: int, kills: int) -> dict[str, Any]:
    """All figures."""
    run, database = make_run(folder / "run", rows), folder / "review.sqlite"
    started = time.perf_counter()
    ReviewStore.open(database, [run]).close()
    first = time.perf_counter() - started
    found: dict[str, Any] = {"rows": rows, "seconds to bring in": round(first, 1)}
    with ReviewStore.open(database, [run]) as store:
        vote_on_a_third(store, "busy", rows)
        found["store, ms"] = speed_of_store(store)
    found["bytes per row"] = database.stat().st_size // rows
    port = free_port()
    with served(database, port):
        found["page, ms"] = speed_of_page(f"http://127.0.0.1:{port}")
    found["votes"] = post_under_kills(database, votes, kills)
    return found


def main() -> None:
    """Print the figures as JSON; exit with 1 where a vote was lost or kept twice."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--votes", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=2)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, default=0, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.serve:
        serve(asked.serve, asked.port)
        return
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), asked.rows, asked.votes, asked.kills)
    text = json.dumps(found, indent=2)
    print(text)
    if asked.out:
        write_atomic(asked.out, text + "\n")
    votes = found["votes"]
    lost = votes["sent"] - min(votes["kept"], votes["acknowledged"])
    if lost or votes["kept twice"]:
        sys.exit(f"{lost} votes lost, {votes['kept twice']} kept twice")


if __name__ == "__main__":
    main()
