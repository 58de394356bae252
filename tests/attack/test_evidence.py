from pathlib import Path

import pytest
import torch

from advgen.attack.evidence import (
    gather_evidence,
    images_of_class,
    indirect_neuron_directions,
    neuron_directions,
    target_filter,
)
from advgen.config import AttackConfig, LensConfig
from advgen.errors import ConfigError, DataError
from advgen.imagesets import load_image_set
from advgen.lens import indirect_directions
from advgen.mining import LetterEncoder, packaged_block_list
from advgen.models import ClipModel, load_clip
from advgen.records import ClassPair, Neuron
from advgen.store import ArtifactStore


@pytest.fixture(scope="module")
def clip() -> ClipModel:
    return load_clip("sandbox-a")


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "cache")


def test_a_layer_that_nothing_follows_is_refused_before_any_work(clip, store, listener) -> None:
    last = clip.vision.layers - 1
    config = LensConfig(layers=(0, last), images="sandbox:4")
    with pytest.raises(ConfigError, match=f"layer {last} .* choose layers from 0 to {last - 1}"):
        neuron_directions(config, clip, store, listener)
    assert listener.stages == []
    assert not store.root.exists()


def test_every_image_is_counted_once_whatever_the_batch_size(clip, store, listener) -> None:
    config = LensConfig(layers=(4,), images="sandbox:5", batch_size=2)
    directions = neuron_directions(config, clip, store, listener)
    assert listener.steps == 5
    assert directions[4].top_images.shape[1] == 5


def test_a_damaged_artifact_is_said_and_computed_again(clip, store, listener) -> None:
    config = LensConfig(layers=(3, 4), images="sandbox:4")
    before = neuron_directions(config, clip, store, listener)
    assert (listener.notes, listener.steps) == ([], 4)
    victim = sorted(store.root.rglob("*.safetensors"))[0]
    whole = bytearray(victim.read_bytes())
    whole[-3] ^= 1
    victim.write_bytes(whole)
    again = neuron_directions(config, clip, store, listener)
    (note,) = listener.notes
    assert str(victim) in note
    assert "differs from its manifest" in note
    for layer, directions in before.items():
        torch.testing.assert_close(again[layer].direction, directions.direction)
    neuron_directions(config, clip, store, listener)
    assert len(listener.notes) == 1, "the artifact was not mended"
    assert listener.steps == 0, "images were looked at although everything was stored"


def test_evidence_names_each_neuron_of_each_row(
    clip, store, listener, make_config, tmp_path: Path
) -> None:
    pool = tmp_path / "pool.txt"
    pool.write_text("tree\n\ntree\nsnow\n")
    config = make_config(
        lens={"layers": [4, 3], "images": "sandbox:4"}, text={"pool": str(pool), "nonzeros": 2}
    )
    evidence = gather_evidence(config, clip, store, listener)
    width = len(evidence.directions) // 2
    assert list(evidence.neurons) == [Neuron(layer, n) for layer in (3, 4) for n in range(width)]
    layers = neuron_directions(config.lens, clip, store, listener)
    torch.testing.assert_close(evidence.directions[width:], layers[4].direction)
    assert evidence.encoded.pool.texts == ("tree", "snow")
    assert [note.split(": ", 1)[1] for note in listener.notes] == [
        "line 2: blank, left out",
        "line 3: repeats line 1, left out",
    ]


def test_the_filter_knows_the_world_s_synonyms_and_the_user_s_block_list(
    make_config, tmp_path: Path
) -> None:
    block = tmp_path / "block.txt"
    block.write_text("deer: moss\n")
    words = target_filter(make_config(mining={"block": str(block)}))
    assert words.reason("moss", "deer") == "blocked"
    assert words.reason("stag", "deer") == "synonym_of_target"
    assert words.reason("moss", "frog") is None
    assert words.reason("puppy", "dog") == "synonym_of_target"
    assert "blocked" not in {words.reason(word, "dog") for word in ("pug", "terrier", "hound")}
    with pytest.raises(DataError, match="nowhere"):
        target_filter(make_config(mining={"block": "nowhere.txt"}))


def test_other_worlds_have_the_packaged_block_list_and_the_user_s(
    make_config, tmp_path: Path
) -> None:
    block = tmp_path / "block.txt"
    block.write_text("dog: leash\nowl: barn\n")
    words = target_filter(make_config(draw={"synthesizer": "other"}, mining={"block": str(block)}))
    assert words.synonyms == {}
    assert [words.reason(word, "dog") for word in ("pug", "leash", "moss")] == ["blocked"] * 2 + [
        None
    ]
    assert words.reason("barn", "owl") == "blocked"
    assert words.blocked["ship"] == packaged_block_list()["ship"]


def test_the_filter_looks_through_the_chosen_encoder(make_config) -> None:
    words = target_filter(make_config(mining={"max_similarity": 0.7}))
    assert isinstance(words.encoder, LetterEncoder)
    assert words.max_similarity == 0.7
    assert target_filter(make_config(mining={"similarity": "none"})).encoder is None
    with pytest.raises(ConfigError, match="mining.similarity is 'sentences'"):
        target_filter(make_config(mining={"similarity": "sentences"}))


def test_indirect_directions_of_all_neurons_are_kept(
    clip, store, listener, make_config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("advgen.lens.cache._EFFECT_BYTES", 4 * 3 * clip.embed_dim * 300)
    config = make_config(
        methods=["indirect"],
        lens={"layers": [4], "images": "sandbox:9"},
        mining={"indirect_images": 3},
    )
    found = indirect_neuron_directions(config, clip, store, listener)
    assert listener.steps == len(found[4]) == clip.vision.neurons
    images = load_image_set("sandbox:3")
    pixels = torch.stack([clip.preprocess(image) for image in images])
    some = list(range(126, 131))  # on both sides of a group's end
    direct = indirect_directions(clip, lambda: [pixels], 4, some)
    cosines = (found[4].direction[some] * direct.direction).sum(dim=1)
    torch.testing.assert_close(cosines, torch.ones(5), atol=1e-4, rtol=0)
    again = indirect_neuron_directions(config, clip, store, listener)
    assert listener.steps == 0, "neurons were looked at although everything was stored"
    assert again[4].direction.equal(found[4].direction)
    evidence = gather_evidence(config, clip, store, listener)
    assert len(evidence.neurons) == 0
    assert evidence.indirect is not None
    assert evidence.indirect.directions.equal(found[4].direction)


def test_sizes_are_taken_of_images_of_each_true_class(clip, store, listener, make_config) -> None:
    config = make_config(
        pairs=["dog:deer", "cat:fox"],
        lens={"layers": [4], "images": "sandbox:4"},
        mining={"score": "activation", "activation_images": "sandbox:300?single=1&seed=3"},
    )
    evidence = gather_evidence(config, clip, store, listener)
    assert set(evidence.sizes) == {"dog", "cat"}
    assert evidence.sizes["dog"].shape == (clip.vision.neurons,)
    assert not evidence.sizes["dog"].allclose(evidence.sizes["cat"])
    images = load_image_set(config.mining.activation_images)
    dogs = images_of_class(images, "dog")
    assert dogs
    assert {images.classes[images.labels[number]] for number in dogs} == {"dog"}


def test_images_without_the_true_class_are_refused_with_the_labels_there_are(
    clip, store, listener, make_config, image_folder: Path
) -> None:
    settings = {"lens": {"layers": [4], "images": "sandbox:4"}}
    few = {"score": "activation", "activation_images": "sandbox:3?single=1"}
    with pytest.raises(DataError, match="no image of the class 'deer'.*Known: dog, cat, horse"):
        gather_evidence(
            make_config(pairs=["deer:dog"], mining=few, **settings), clip, store, listener
        )
    unlabelled = {"score": "activation", "activation_images": str(image_folder)}
    with pytest.raises(DataError, match="have no labels"):
        gather_evidence(make_config(mining=unlabelled, **settings), clip, store, listener)


def test_indirect_has_no_sizes(clip, store, listener, make_config) -> None:
    config = make_config(
        methods=["indirect"], mining={"score": "activation", "activation_images": "sandbox:300"}
    )
    with pytest.raises(ConfigError, match="indirect has no score 'activation'"):
        gather_evidence(config, clip, store, listener)
    assert listener.stages == []


def test_methods_that_use_no_neuron_do_not_run_the_lens(clip, store, listener) -> None:
    config = AttackConfig(
        pairs=(ClassPair("dog", "deer"),),
        methods=("similar-words", "random-words"),
        lens=LensConfig(images="no/such/folder"),
    )
    evidence = gather_evidence(config, clip, store, listener)
    assert list(evidence.neurons) == []
    assert evidence.directions.shape == (0, clip.embed_dim)
    assert len(evidence.encoded.pool.texts) > 1000
