from pathlib import Path

import pytest
import torch

from advgen.attack.evidence import gather_evidence, neuron_directions, target_filter
from advgen.config import AttackConfig, LensConfig
from advgen.errors import ConfigError, DataError
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
    assert target_filter(make_config(draw={"synthesizer": "other"})).synonyms == {}
    with pytest.raises(DataError, match="nowhere"):
        target_filter(make_config(mining={"block": "nowhere.txt"}))


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
