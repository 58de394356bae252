"""The sandbox's synthesizer: reads a sentence and draws the scene it describes."""

from __future__ import annotations

import random
from collections.abc import Sequence

from advgen.generation.protocols import Drawn, DrawRequest
from advgen.sandbox.lexicon import load_lexicon
from advgen.sandbox.reader import compose, read_description
from advgen.sandbox.render import render_scene
from advgen.sandbox.world import world_fingerprint


class SandboxSynthesizer:
    """Draws what a sentence says as far as the world goes.

    Args:
        main_size: Range of the subject's box, in units of a 64 x 64 canvas.
        other_size: Range of the other things' boxes.
    """

    name = "sandbox"
    licence = "Apache-2.0"

    def __init__(
        self,
        main_size: tuple[float, float] = (28.0, 36.0),
        other_size: tuple[float, float] = (14.0, 24.0),
    ) -> None:
        self.main_size = (float(main_size[0]), float(main_size[1]))
        self.other_size = (float(other_size[0]), float(other_size[1]))
        self.revision = world_fingerprint()[:12]

    def prompt_fault(self, prompt: str) -> str | None:
        """None: what cannot be drawn is left out, and the records say so."""
        return None

    def draw(self, requests: Sequence[DrawRequest]) -> list[Drawn]:
        """See `Synthesizer.draw`; nothing is ever rejected here."""
        return [self._draw(request) for request in requests]

    def close(self) -> None:
        """There is nothing to let go of."""

    def _draw(self, request: DrawRequest) -> Drawn:
        lexicon = load_lexicon()
        reading = read_description(request.prompt, lexicon)
        scene = compose(
            reading,
            lexicon,
            random.Random(request.seed),
            main=request.subject,
            main_size=self.main_size,
            other_size=self.other_size,
        )
        return Drawn(
            image=render_scene(scene, request.size),
            truth={"sandbox_scene": scene.to_dict()},
            undrawn=reading.undrawn,
        )
