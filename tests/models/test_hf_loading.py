"""Folders of transformers models: what is read, and what is refused in a sentence."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from doubles.hf_models import edited, photo, reweighted
from safetensors.torch import load_file

from advgen.errors import ConfigError, ModelError
from advgen.models import OpenClipModel, load_clip

transformers: Any = pytest.importorskip("transformers")


def config(change):
    return edited("config.json", change)


def rewritten(**changes):
    return config(lambda document: document.update(changes))


def vision(**changes):
    return config(lambda document: document["vision_config"].update(changes))


def written(file: str, text: str):
    return lambda folder: (folder / file).write_text(text)


def unlinked(pattern: str):
    return lambda folder: [path.unlink() for path in folder.glob(pattern)]


def pickled(folder: Path) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def sharded(folder: Path) -> None:
    model = transformers.CLIPModel.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="8KB")
    assert (folder / "model-00002-of-00007.safetensors").is_file()


def without_shard(folder: Path) -> None:
    sharded(folder)
    (folder / "model-00002-of-00007.safetensors").unlink()


def with_torn_index(folder: Path) -> None:
    sharded(folder)
    (folder / "model.safetensors.index.json").write_text('{"weight_map": []}')


def halved(folder: Path) -> None:
    reweighted(lambda state: state.update({n: t.half() for n, t in state.items()}))(folder)
    rewritten(dtype="float16")(folder)


def other_size(folder: Path) -> None:
    transformers.CLIPImageProcessor(
        size={"shortest_edge": 40}, crop_size={"height": 40, "width": 40}
    ).save_pretrained(folder)


def uncropped(folder: Path) -> None:
    """Portraits of one shape alone would come out right."""
    edited("preprocessor_config.json", lambda s: s.update(do_center_crop=False))(folder)


def no_tables(document: dict[str, Any]) -> None:
    document["vision_config"] = "large"


CODE = {"auto_map": {"AutoModel": "theirs.Model"}}
SPOILED = {
    "bert": (rewritten(model_type="bert"), "model of type 'bert', not an image-text model"),
    "types": (rewritten(model_type=["clip"]), r"model of type \['clip'\], not an image-text"),
    "naflex": (rewritten(model_type="siglip2"), "NaFlex.*fixed-resolution release"),
    "no type": (written("config.json", "[]"), "is no configuration"),
    "no json": (written("config.json", "{"), "is no configuration"),
    "no config": (unlinked("config.json"), "holds no config.json"),
    "code": (rewritten(**CODE), "code of its own repository .*never run"),
    "processor's code": (
        edited("preprocessor_config.json", lambda s: s.update(CODE)),
        "preprocessor_config.json asks for code of its own repository",
    ),
    "quantised": (rewritten(quantization_config={"quant_method": "fp8"}), "quantised weights"),
    "no tables": (config(no_tables), "text_config and vision_config must be tables"),
    "no square": (vision(image_size=[30, 40]), r"images of \[30, 40\] pixels; only squares"),
    "pickle": (pickled, "no model.safetensors, and pickled weights.*never read"),
    "torn": (written("model.safetensors", "xx"), "cannot load"),
    "cut": (
        reweighted(lambda state: state.pop("visual_projection.weight")),
        "not whole: they lack visual_projection.weight",
    ),
    "fewer layers": (
        vision(num_hidden_layers=1),
        r"no place for vision_model.encoder.layers.1.*, one of 16; correct config.json",
    ),
    "more layers": (vision(num_hidden_layers=3), "they lack vision_model.encoder.layers.2"),
    "activation": (vision(hidden_act="gelou"), "nothing in transformers is called 'gelou'"),
    "heads": (vision(num_attention_heads=3), r"hidden size \(16\) is not a multiple"),
    "no shard": (without_shard, "not whole: 1 of .*, model-00002-of-00007.safetensors first"),
    "no index": (with_torn_index, "model.safetensors.index.json is no index of weights"),
    "size": (other_size, r"makes \(3, 40, 40\), its tower takes \(3, 30, 30\)"),
    "no crop": (uncropped, r"makes \(3, .*, its tower takes \(3, 30, 30\)"),
    "no processor": (unlinked("preprocessor_config.json"), "cannot load"),
    "torn processor": (written("preprocessor_config.json", "{"), "holds no settings"),
    "no tokenizer": (unlinked("*token*"), "has no tokenizer"),
    "torn tokenizer": (written("tokenizer.json", "{"), "cannot load"),
    "wrong shape": (
        rewritten(projection_dim=13),
        r"text_projection.weight is \(12, 16\) in the file and \(13, 16\) by config.json",
    ),
}


def spoiled(source: Path, folder: Path, spoil) -> Path:
    shutil.copytree(source, folder)
    spoil(folder)
    return folder


@pytest.mark.parametrize("case", SPOILED)
def test_folders_that_cannot_be_loaded(clip_folder, tmp_path, case):
    spoil, message = SPOILED[case]
    folder = spoiled(clip_folder, tmp_path / "spoiled", spoil)
    with pytest.raises(ModelError, match=message) as caught:
        load_clip(f"transformers:{folder}")
    assert "\n" not in str(caught.value) and str(folder) in str(caught.value)


SPOILED_SIGLIP = {
    "no head": (vision(vision_use_head=False), "no pooling head .*images have no embedding"),
    "as clip": (rewritten(model_type="clip"), r"logit_scale is \(1,\) in the file and \(\)"),
}


@pytest.mark.parametrize("case", SPOILED_SIGLIP)
def test_siglips_that_cannot_be_loaded(siglip2_folder, tmp_path, case):
    spoil, message = SPOILED_SIGLIP[case]
    folder = spoiled(siglip2_folder, tmp_path / "spoiled", spoil)
    with pytest.raises(ModelError, match=message):
        load_clip(f"transformers:{folder}")


def test_texts_and_images_of_different_sizes_are_refused(siglip2_folder, tmp_path):
    def narrow(folder: Path) -> None:
        def cut(state):
            state["text_model.head.weight"] = state["text_model.head.weight"][:7].contiguous()
            state["text_model.head.bias"] = state["text_model.head.bias"][:7].contiguous()

        config(lambda document: document["text_config"].update(projection_size=7))(folder)
        reweighted(cut)(folder)

    folder = spoiled(siglip2_folder, tmp_path / "narrow", narrow)
    with pytest.raises(ModelError, match="text embeddings of 7 .*image embeddings of 16"):
        load_clip(f"transformers:{folder}")


def test_shards_hold_the_same_model(clip_folder, tmp_path):
    clip = load_clip(str(spoiled(clip_folder, tmp_path / "shards", sharded)))
    assert clip.weights_sha256 == load_clip(str(clip_folder)).weights_sha256


def test_half_precision_is_read_as_single(clip_folder, tmp_path):
    """Computed in float32 from the rounded weights, as transformers does when it is asked to."""
    folder = spoiled(clip_folder, tmp_path / "half", halved)
    clip = load_clip(str(folder))
    pixels = clip.preprocess(photo())[None]
    model = transformers.CLIPModel.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.no_grad():
        expected = model.get_image_features(pixel_values=pixels).pooler_output
    found = clip.encode_image(pixels, normalize=False)
    assert found.dtype == torch.float32 and torch.equal(found, expected)
    whole = load_clip(str(clip_folder))
    assert clip.weights_sha256 != whole.weights_sha256
    torch.testing.assert_close(
        clip.encode_image(pixels), whole.encode_image(pixels), rtol=0.02, atol=0.02
    )


def test_what_old_checkpoints_hold_beside_the_towers_is_left(clip_folder, tmp_path):
    def old(state) -> None:
        state["text_model.embeddings.position_ids"] = torch.arange(20)[None]
        state["classifier.weight"] = torch.ones(3, 12)

    folder = spoiled(clip_folder, tmp_path / "old", reweighted(old))
    assert load_clip(str(folder)).weights_sha256 == load_clip(str(clip_folder)).weights_sha256


def test_settings_of_the_first_and_of_the_latest_transformers(clip_folder, tmp_path):
    """OpenAI's repositories are of the first kind; a whole processor is saved in the latest."""

    def first(folder: Path) -> None:
        size = {"size": 30, "crop_size": 30, "resample": 3}
        steps = {"do_resize": True, "do_center_crop": True, "do_normalize": True}
        settings = json.loads((folder / "preprocessor_config.json").read_text())
        kept = {name: settings[name] for name in ("image_mean", "image_std")}
        kind = {"feature_extractor_type": "CLIPFeatureExtractor"}
        (folder / "preprocessor_config.json").write_text(json.dumps(size | steps | kept | kind))

    def latest(folder: Path) -> None:
        whole = transformers.CLIPProcessor(
            transformers.CLIPImageProcessor.from_pretrained(folder),
            transformers.AutoTokenizer.from_pretrained(folder),
        )
        (folder / "preprocessor_config.json").unlink()
        whole.save_pretrained(folder)
        assert not (folder / "preprocessor_config.json").exists()

    expected = load_clip(str(clip_folder)).preprocess(photo())
    for name, spoil in (("first", first), ("latest", latest)):
        folder = spoiled(clip_folder, tmp_path / name, spoil)
        assert torch.equal(load_clip(str(folder)).preprocess(photo()), expected)


@pytest.mark.parametrize("name", ["/no/such/folder", "./none", ""])
def test_folders_that_are_not_there(name):
    with pytest.raises(ModelError, match="there is no model folder"):
        load_clip(f"transformers:{name}")


def test_a_folder_with_open_clips_own_files_stays_open_clips(tiny_clip, tmp_path):
    folder = tmp_path / "both"
    shutil.copytree(tiny_clip, folder)
    (folder / "config.json").write_text(json.dumps({"model_type": "clip"}))
    assert isinstance(load_clip(str(folder)), OpenClipModel)


@pytest.mark.parametrize("name", ["transformers:me/tiny", "transformers:FOLDER"])
def test_without_transformers_the_extra_is_named(clip_folder, monkeypatch, name):
    """Before anything is fetched: no server is there that could be asked."""
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ConfigError, match=r"package 'transformers': pip install 'advgen\[real\]'"):
        load_clip(name.replace("FOLDER", str(clip_folder)))


def test_an_old_transformers_is_refused_before_anything_is_fetched(monkeypatch):
    monkeypatch.setattr("advgen.models.hf_loading.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="needs a newer transformers than .*pip install -U"):
        load_clip("transformers:me/tiny")
