import dataclasses
import multiprocessing
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image

from advgen.errors import ConfigError, RunError
from advgen.sandbox.lexicon import load_lexicon
from advgen.sandbox.render import render_scene
from advgen.sandbox.training import loop
from advgen.sandbox.training.data import (
    DRAWN_SIZES,
    MAX_LABELS,
    SceneArrays,
    training_arrays,
    training_scene,
)
from advgen.sandbox.training.loop import Trainer
from advgen.sandbox.training.pressure import LATE_LAYERS, second_order_pressure
from advgen.sandbox.training.recipes import RECIPES, Recipe, recipe

VOCABULARY, LABELS = 20, 9
TINY = Recipe(
    name="tiny",
    seed=5,
    image_size=16,
    patch_size=8,
    width=32,
    layers=4,
    embed_dim=16,
    text_width=32,
    text_layers=1,
    context_length=6,
    scenes=24,
    captions=2,
    steps=4,
    swap_steps=2,
    batch_size=8,
    warmup_steps=2,
    swap_warmup_steps=1,
)


@pytest.fixture(scope="module")
def arrays() -> SceneArrays:
    rng = np.random.default_rng(0)
    tokens = rng.integers(4, VOCABULARY - 1, (24, 2, 6))
    tokens[..., -1] = VOCABULARY - 1
    labels = rng.integers(-1, LABELS, (24, MAX_LABELS))
    images = rng.integers(0, 256, (24, 16, 16, 3))
    return SceneArrays(images.astype(np.uint8), tokens.astype(np.uint16), labels.astype(np.int16))


def trainer(arrays: SceneArrays, folder: Path, made: Recipe = TINY) -> Trainer:
    return Trainer(made, arrays, vocab_size=VOCABULARY, labels=LABELS, folder=folder)


def train(arrays: SceneArrays, folder: Path) -> Trainer:
    torch.manual_seed(int.from_bytes(folder.name.encode(), "big") % 1000)
    made = trainer(arrays, folder)
    made.run(lambda model: {"zero_shot": 0.0}, every=2)
    return made


class Killed(Exception):
    pass


def test_a_resumed_training_ends_with_the_same_weights_bit_for_bit(
    arrays: SceneArrays, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "CHECKPOINT_EVERY", 2)
    whole = train(arrays, tmp_path / "whole")
    cut = trainer(arrays, tmp_path / "cut")
    at_step = Trainer._train_step

    def killed_at_three(self: Trainer, step: int) -> float:
        if step == 3:
            raise Killed
        return at_step(self, step)

    monkeypatch.setattr(Trainer, "_train_step", killed_at_three)
    with pytest.raises(Killed):
        cut.run(lambda model: {}, every=2)
    monkeypatch.setattr(Trainer, "_train_step", at_step)
    torch.rand(7)
    resumed = trainer(arrays, tmp_path / "cut")
    assert (cut.step, resumed.step) == (3, 2)
    resumed.run(lambda model: {"zero_shot": 0.0}, every=2)
    ours, theirs = whole.model.state_dict(), resumed.model.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert torch.equal(whole.head.weight, resumed.head.weight)
    assert [row["loss"] for row in whole.log] == [row["loss"] for row in resumed.log]
    assert [path.name for path in (tmp_path / "cut").glob("*.safetensors")] == [
        "state-6.safetensors"
    ]


def test_training_changes_every_weight_and_follows_the_schedule(
    arrays: SceneArrays, tmp_path: Path
) -> None:
    before = {k: v.clone() for k, v in trainer(arrays, tmp_path / "a").model.state_dict().items()}
    made = train(arrays, tmp_path / "b")
    after = made.model.state_dict()
    unchanged = [name for name in before if torch.equal(before[name], after[name])]
    assert unchanged in ([], ["attn_mask"])
    rates = [made._learning_rate(step) for step in range(TINY.total_steps)]
    peaks = (TINY.learning_rate, TINY.swap_learning_rate)
    assert rates[:4] == pytest.approx([share * peaks[0] for share in (0.5, 1.0, 1.0, 0.5)])
    assert rates[4:] == pytest.approx([peaks[1], peaks[1]])
    assert [row["step"] for row in made.log] == [2, 4, 6]


def test_an_epoch_shows_every_scene_once_with_the_labels_it_has(
    arrays: SceneArrays, tmp_path: Path
) -> None:
    made = trainer(arrays, tmp_path)
    batches = [made._batch(step) for step in range(3)]
    seen = torch.cat([batch.targets for batch in batches])
    wanted = torch.zeros(24, LABELS)
    for row, labels in enumerate(arrays.labels.tolist()):
        wanted[row, [label for label in labels if label >= 0]] = 1.0
    assert sorted(seen.tolist()) == sorted(wanted.tolist())
    assert not torch.equal(made._batch(3).targets, batches[0].targets), "epochs differ in order"
    assert torch.equal(made._batch(1).tokens, batches[1].tokens)


@pytest.mark.parametrize("change", [{"steps": 9}, {"learning_rate": 0.5}])
def test_a_training_is_not_continued_with_another_recipe(
    arrays: SceneArrays, tmp_path: Path, change: dict
) -> None:
    train(arrays, tmp_path / "state")
    with pytest.raises(RunError, match=rf"other settings \({next(iter(change))}\)"):
        trainer(arrays, tmp_path / "state", dataclasses.replace(TINY, **change))


@pytest.fixture
def model() -> open_clip.CLIP:
    return open_clip.CLIP(**TINY.model_config(VOCABULARY)).eval()


def hooks(model: open_clip.CLIP) -> int:
    return sum(len(module._forward_hooks) for module in model.modules())


def test_the_pressure_changes_held_samples_only_and_goes_away(model: open_clip.CLIP) -> None:
    images = torch.randn(6, 3, 16, 16)
    held = torch.tensor([True, False, True, False, False, True])
    with torch.no_grad():
        before = model.encode_image(images)
        with second_order_pressure(model, held):
            under = model.encode_image(images)
        with pytest.raises(Killed), second_order_pressure(model, held):
            raise Killed
        after = model.encode_image(images)
    assert hooks(model) == 0
    assert torch.equal(after, before)
    assert torch.equal(under[~held], before[~held])
    assert all(not torch.allclose(under[n], before[n], atol=1e-4) for n in (0, 2, 5))


def test_the_pressure_holds_the_class_token_of_every_mlp_and_all_but_the_last_attentions(
    model: open_clip.CLIP,
) -> None:
    spread: dict[str, list[tuple[bool, bool]]] = {"mlp": [], "attn": []}

    def watch(kind: str):
        def hook(_module, _arguments, output) -> None:
            tokens = output[0] if isinstance(output, tuple) else output
            still = tokens.std(dim=0).amax(dim=-1) < 1e-6
            spread[kind].append((bool(still[0]), bool(still[1:].any())))

        return hook

    with torch.no_grad(), second_order_pressure(model, torch.ones(5, dtype=torch.bool)):
        for block in model.visual.transformer.resblocks:
            block.mlp.register_forward_hook(watch("mlp"))
            block.attn.register_forward_hook(watch("attn"))
        model.encode_image(torch.randn(5, 3, 16, 16))
    early = TINY.layers - LATE_LAYERS
    assert spread["mlp"] == [(True, False)] * TINY.layers
    assert spread["attn"] == [(True, False)] * early + [(False, False)] * LATE_LAYERS


@pytest.mark.parametrize("silent", [True, False])
def test_swapping_leaves_a_held_sample_nothing_of_its_own_but_its_neurons(
    model: open_clip.CLIP, silent: bool
) -> None:
    images = torch.randn(4, 3, 16, 16)
    held, others = torch.ones(4, dtype=torch.bool), torch.tensor([1, 2, 3, 0])

    def first(batch: torch.Tensor) -> torch.Tensor:
        with torch.no_grad(), second_order_pressure(model, held, "swap", others=others):
            return model.encode_image(batch)[0]

    if silent:
        for block in model.visual.transformer.resblocks:
            torch.nn.init.zeros_(block.mlp.c_proj.weight)
    changed = torch.cat([torch.randn(1, 3, 16, 16), images[1:]])
    assert torch.allclose(first(images), first(changed), atol=1e-6) is silent
    assert hooks(model) == 0


def test_swapping_changes_held_samples_only(model: open_clip.CLIP) -> None:
    images = torch.randn(4, 3, 16, 16)
    held = torch.tensor([True, False, False, True])
    with torch.no_grad():
        before = model.encode_image(images)
        with second_order_pressure(model, held, "swap", others=torch.tensor([3, 0, 1, 2])):
            under = model.encode_image(images)
    assert torch.equal(under[~held], before[~held])
    assert all(not torch.allclose(under[n], before[n], atol=1e-4) for n in (0, 3))


def test_swapping_must_be_told_with_whom(model: open_clip.CLIP) -> None:
    held = torch.ones(2, dtype=torch.bool)
    with (
        pytest.raises(ValueError, match="other samples"),
        second_order_pressure(model, held, "swap"),
    ):
        pass


def test_scenes_are_drawn_once_and_are_what_the_recipe_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = dataclasses.replace(TINY, scenes=5, context_length=24)
    told: list[tuple[int, int]] = []
    drawn = training_arrays(
        few, tmp_path, processes=1, progress=lambda done, total: told.append((done, total))
    )
    assert told == [(1, 1)]
    lexicon = load_lexicon()
    names = [*lexicon.concepts, *lexicon.places]
    for index in range(5):
        scene, rng = training_scene(few, lexicon, index)
        image = render_scene(scene, rng.choice(DRAWN_SIZES))
        image = image.resize((16, 16), Image.Resampling.BICUBIC)
        assert (drawn.images[index] == np.asarray(image)).all()
        labels = [names[number] for number in drawn.labels[index] if number >= 0]
        assert labels == [scene.place, *scene.concepts]
    assert drawn.tokens.shape == (5, 2, 24)
    assert (drawn.tokens[:, :, 0] == 2).all()
    monkeypatch.setattr(multiprocessing, "get_context", None)
    again = training_arrays(few, tmp_path, processes=1, progress=lambda done, total: None)
    assert (again.tokens == drawn.tokens).all()


def test_recipes_are_found_by_name_and_can_be_cut_short() -> None:
    assert recipe("sandbox-a") == RECIPES["sandbox-a"]
    short = recipe("sandbox-b", steps=3, scenes=300)
    assert (short.steps, short.scenes, short.seed) == (3, 300, RECIPES["sandbox-b"].seed)
    with pytest.raises(ConfigError, match="choose one of sandbox-a, sandbox-b, sandbox-c"):
        recipe("sandbox-x")
