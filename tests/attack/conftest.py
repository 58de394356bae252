"""Parts of an attack that keep what they were asked: a CLIP of colours, a painter, a judge."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from advgen.chat import ListReply
from advgen.config import AttackConfig, attack_config
from advgen.generation import DescribeRequest, Drawn, DrawRequest
from advgen.records import ClassPair, Verdict

BLACK = Image.new("RGB", (16, 16))


class ColorClip:
    """Sees the mean red (true class) and green (target class) of an image, and nothing else."""

    name, embed_dim, image_size, logit_scale = "colors", 2, (1, 1), 10.0
    device, vision = torch.device("cpu"), None

    def __init__(self, weights_sha256: str = "0" * 64) -> None:
        self.weights_sha256 = weights_sha256
        self.batches: list[Tensor] = []

    def preprocess(self, image: Image.Image) -> Tensor:
        mean = image.resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))
        return torch.tensor(mean).float()[:, None, None] / 255

    def encode_image(self, pixels: Tensor, *, normalize: bool = True) -> Tensor:
        self.batches.append(pixels)
        return F.normalize(pixels[:, :2, 0, 0], dim=-1)

    def encode_text(self, texts: list[str]) -> Tensor:
        raise NotImplementedError


class Painter:
    """Fills each image with a colour of its seed; `faults` maps seeds or call numbers to faults."""

    name, revision, licence = "painter", "7", "CC0"

    def __init__(self, faults: Mapping[int, str] | None = None) -> None:
        self.faults = dict(faults or {})
        self.requests: list[DrawRequest] = []
        self.batches: list[int] = []
        self.closed = False

    def prompt_fault(self, prompt: str) -> str | None:
        return "too_many_tokens" if "too long" in prompt else None

    def draw(self, requests: Sequence[DrawRequest]) -> list[Drawn]:
        self.batches.append(len(requests))
        return [self._draw(request) for request in requests]

    def close(self) -> None:
        self.closed = True

    def _draw(self, request: DrawRequest) -> Drawn:
        call = len(self.requests)
        self.requests.append(request)
        fault = self.faults.get(call, self.faults.get(request.seed))
        color = (50 + request.seed % 200, 50 + request.seed // 200 % 200, 9)
        image = Image.new("RGB", (request.size, request.size), color)
        if fault == "black":
            return Drawn(BLACK)
        return Drawn(image, {"seen": request.seed % 2}, ("antlers",), rejected=fault)


class Oracle:
    """Believes what the painter says."""

    name = "oracle"

    def judge(self, image: Image.Image, truth: Mapping[str, Any], pair: ClassPair) -> Verdict:
        return Verdict(self.name, float(truth["seen"]), 1.0)


class Writer:
    """Writes numbered sentences that depend on the seed it is asked with."""

    name, revision = "writer", "3"

    def __init__(self) -> None:
        self.requests: list[DescribeRequest] = []
        self.closed = 0

    def describe(self, request: DescribeRequest) -> ListReply:
        self.requests.append(request)
        true, target = request.pair.true_class, request.pair.target_class
        texts = [f"a {true} beside {request.seed + n} trees" for n in range(request.count - 1)]
        return ListReply((f"a {true} and a {target}", *texts), ())

    def close(self) -> None:
        self.closed += 1


class Listener:
    """Keeps what a job tells."""

    def __init__(self) -> None:
        self.stages: list[str] = []
        self.notes: list[str] = []
        self.steps = 0

    def stage(self, name: str, total: int | None = None, done: int = 0) -> None:
        self.stages.append(name)
        self.steps = done

    def advance(self, steps: int = 1) -> None:
        self.steps += steps

    def note(self, message: str) -> None:
        self.notes.append(message)


@pytest.fixture
def make_clip() -> type[ColorClip]:
    return ColorClip


@pytest.fixture
def make_painter() -> type[Painter]:
    return Painter


@pytest.fixture
def oracle() -> Oracle:
    return Oracle()


@pytest.fixture
def writer() -> Writer:
    return Writer()


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture(scope="session")
def make_config() -> Callable[..., AttackConfig]:
    """A config for dog:deer with some settings put into it."""

    def make(**settings: object) -> AttackConfig:
        return attack_config({"pairs": ["dog:deer"], **settings})

    return make


@pytest.fixture
def image_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "set"
    folder.mkdir()
    for number in range(3):
        Image.new("RGB", (8, 8), (80 * number, 90, 10)).save(folder / f"{number}.png")
    return folder
