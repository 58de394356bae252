import json

import pytest
from PIL import Image

from advgen.errors import SandboxError
from advgen.generation.protocols import DrawRequest
from advgen.records import ClassPair, Verdict
from advgen.sandbox.judge import SandboxJudge, visible_share
from advgen.sandbox.scene import Item, Scene
from advgen.sandbox.synthesizer import SandboxSynthesizer

BLANK = Image.new("RGB", (8, 8))
DOG = Item("dog", 1, 32.0, 40.0, 24.0)
PAIR = ClassPair("dog", "deer")


def verdict(*items: Item, pair: ClassPair = PAIR) -> Verdict:
    scene = json.loads(json.dumps(Scene("meadow", 1, items).to_dict()))
    return SandboxJudge().judge(BLANK, {"sandbox_scene": scene}, pair)


@pytest.mark.parametrize(
    ("items", "true_present", "target_absent"),
    [
        ((DOG,), 1.0, 1.0),
        ((), 0.0, 1.0),
        ((Item("cat", 1, 32, 40, 20),), 0.0, 1.0),
        ((DOG, Item("deer", 1, 10, 50, 12)), 1.0, 0.0),
        ((Item("deer", 1, 32, 40, 8), DOG), 1.0, 0.0),
        ((DOG, Item("house", 1, 32, 40, 58)), 0.0, 1.0),
        ((DOG, Item("house", 1, 32, 40, 58), Item("dog", 2, 10, 55, 12)), 1.0, 1.0),
    ],
    ids=["alone", "empty", "other", "with target", "target hidden", "hidden", "second one seen"],
)
def test_the_verdict_is_the_scene_s_truth(
    items: tuple[Item, ...], true_present: float, target_absent: float
) -> None:
    assert verdict(*items) == Verdict("sandbox", true_present, target_absent)


def test_half_of_a_thing_is_enough() -> None:
    seen = {}
    for x in range(32, 72):
        scene = Scene("meadow", 1, (DOG, Item("book", 1, float(x), 40.0, 60.0)))
        share = visible_share(scene, 0)
        seen[share >= 0.5] = verdict(*scene.items).true_present
    assert seen == {False: 0.0, True: 1.0}


@pytest.mark.parametrize(
    ("item", "low", "high"),
    [
        (DOG, 1.0, 1.0),
        (Item("automobile", 1, 0.0, 40.0, 30.0), 0.4, 0.6),
        (Item("automobile", 1, -40.0, 40.0, 30.0), 0.0, 0.0),
        (Item("dog", 1, 20.4, 33.7, 20.0, angle=3.0), 0.98, 1.0),
    ],
)
def test_what_the_canvas_cuts_off_is_not_visible(item: Item, low: float, high: float) -> None:
    share = visible_share(Scene("meadow", 1, (item,)), 0)
    assert low <= share <= high


def test_images_of_other_synthesizers_are_refused() -> None:
    with pytest.raises(SandboxError, match="choose another judge"):
        SandboxJudge().judge(BLANK, {}, PAIR)


def request(prompt: str, seed: int = 5, subject: str = "dog") -> DrawRequest:
    return DrawRequest(prompt=prompt, subject=subject, seed=seed, size=48)


def test_what_the_synthesizer_draws_the_judge_finds() -> None:
    prompts = ["a dog beside antlers", "a dog and a stag", "a cat on a sofa"]
    drawn = SandboxSynthesizer().draw([request(prompt) for prompt in prompts])
    verdicts = [SandboxJudge().judge(result.image, result.truth, PAIR) for result in drawn]
    assert [(v.true_present, v.target_absent) for v in verdicts] == [(1, 1), (1, 0), (0, 1)]
    assert [result.undrawn for result in drawn] == [("antlers",), (), ()]
    assert [result.rejected for result in drawn] == [None, None, None]


def test_an_image_depends_on_its_own_request_alone() -> None:
    synthesizer = SandboxSynthesizer(main_size=(20, 22))
    several = synthesizer.draw([request("a dog", seed) for seed in (1, 2, 3)])
    (again,) = synthesizer.draw([request("a dog", 2)])
    assert again.image.tobytes() == several[1].image.tobytes()
    assert again.truth == several[1].truth != several[2].truth
    assert again.image.size == (48, 48)
    assert 20 <= again.truth["sandbox_scene"]["items"][-1]["size"] <= 22
