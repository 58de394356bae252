"""The exact judge: the renderer knows what it drew, so nothing has to be guessed."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from PIL import Image

from advgen.errors import SandboxError
from advgen.records import ClassPair, Verdict
from advgen.sandbox.render import render_masks
from advgen.sandbox.scene import Item, Scene

JUDGED_SIZE = 64
MIN_VISIBLE_SHARE = 0.5


class SandboxJudge:
    """Reads the scene an image was drawn from.

    The true class is present when half or more of one of its items is visible; the target class is
    absent when the scene has no item of it, visible or not.
    """

    name = "sandbox"

    def judge(self, image: Image.Image, truth: Mapping[str, Any], pair: ClassPair) -> Verdict:
        """See `Judge.judge`.

        Raises:
            SandboxError: If the image does not come from the sandbox.
        """
        if "sandbox_scene" not in truth:
            raise SandboxError(
                "the exact judge needs images drawn by the sandbox; choose another judge"
            )
        scene = Scene.from_dict(truth["sandbox_scene"])
        seen = any(
            item.concept == pair.true_class and visible_share(scene, number) >= MIN_VISIBLE_SHARE
            for number, item in enumerate(scene.items)
        )
        absent = pair.target_class not in scene.concepts
        return Verdict(judge=self.name, true_present=float(seen), target_absent=float(absent))


def visible_share(scene: Scene, number: int) -> float:
    """The share of an item's own pixels that the canvas shows and nothing in front covers."""
    item = scene.items[number]
    in_front = dataclasses.replace(scene, items=scene.items[number:])
    alone = dataclasses.replace(scene, items=(_centred(item),))
    visible, whole = (int(render_masks(s, JUDGED_SIZE)[0].visible.sum()) for s in (in_front, alone))
    # An item in the middle can lose a pixel to rounding that it has elsewhere.
    return min(1.0, visible / whole) if whole else 0.0


def _centred(item: Item) -> Item:
    return dataclasses.replace(item, x=32.0, y=32.0)
