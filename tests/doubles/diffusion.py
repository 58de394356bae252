"""Tiny pipelines of the real classes with random weights, saved to disk and loaded by path."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

WORDS = ("a", "the", "dog", "cat", "red", "green", "on", "in", "photo", "of", "grass", "moon")


def clip_tokenizer(folder: Path) -> Any:
    """CLIP's tokenizer class over single letters and a few words."""
    from transformers import CLIPTokenizer

    letters = "abcdefghijklmnopqrstuvwxyz,.'-"
    tokens = [*letters, *[f"{letter}</w>" for letter in letters]]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    tokenizer = CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=77)
    tokenizer.save_pretrained(folder)
    return CLIPTokenizer.from_pretrained(folder)


def t5_tokenizer() -> Any:
    from transformers import T5Tokenizer

    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0)]
    pieces += [(f"▁{word}", -3.0) for word in WORDS]
    pieces += [(letter, -6.0) for letter in "abcdefghijklmnopqrstuvwxyz,.'-"]
    return T5Tokenizer(vocab=pieces, extra_ids=0)


def t5_encoder(width: int = 32) -> Any:
    from transformers import T5Config, T5EncoderModel

    return T5EncoderModel(
        T5Config(vocab_size=64, d_model=width, d_kv=8, d_ff=37, num_layers=2, num_heads=4)
    ).eval()


def clip_text(width: int = 32, projected: bool = False) -> Any:
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    config = CLIPTextConfig(
        vocab_size=100,
        hidden_size=width,
        intermediate_size=37,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=77,
        projection_dim=width,
        bos_token_id=60,
        eos_token_id=61,
        pad_token_id=1,
    )
    return (CLIPTextModelWithProjection if projected else CLIPTextModel)(config).eval()


def clip_config() -> Any:
    from transformers import CLIPConfig

    vision = dict(
        hidden_size=32,
        intermediate_size=37,
        num_hidden_layers=1,
        num_attention_heads=4,
        image_size=30,
        patch_size=15,
        projection_dim=16,
    )
    return CLIPConfig(vision_config=vision, projection_dim=16)


def image_processor() -> Any:
    from transformers import CLIPImageProcessor

    return CLIPImageProcessor(size={"shortest_edge": 30}, crop_size={"height": 30, "width": 30})


def if_checker() -> Any:
    """IF's safety checker, harmless: neither of its two judgements passes its threshold."""
    import torch
    from diffusers.pipelines.deepfloyd_if.safety_checker import IFSafetyChecker

    checker = IFSafetyChecker(clip_config())
    for head in (checker.p_head, checker.w_head):
        torch.nn.init.normal_(head.weight, std=0.01)
        torch.nn.init.constant_(head.bias, -10.0)
    return checker.eval()


def watermarker() -> Any:
    """Pure magenta, so that it can be seen."""
    import torch
    from diffusers.pipelines.deepfloyd_if.watermark import IFWatermarker

    mark = IFWatermarker()
    mark.watermark_image[:] = torch.tensor([255.0, 0.0, 255.0, 255.0])
    return mark


def if_unet(channels: int, sample: int, condition: bool) -> Any:
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(
        sample_size=sample,
        layers_per_block=1,
        block_out_channels=(16, 32),
        norm_num_groups=8,
        down_block_types=("ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"),
        mid_block_type="UNetMidBlock2DSimpleCrossAttn",
        up_block_types=("SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"),
        in_channels=channels,
        out_channels=6,
        cross_attention_dim=32,
        encoder_hid_dim=32,
        attention_head_dim=8,
        addition_embed_type="text",
        addition_embed_type_num_heads=2,
        cross_attention_norm="group_norm",
        resnet_time_scale_shift="scale_shift",
        act_fn="gelu",
        class_embed_type="timestep" if condition else None,
        mid_block_scale_factor=1.414 if condition else 1,
        time_embedding_act_fn="gelu" if condition else None,
    ).eval()


def if_scheduler() -> Any:
    from diffusers import DDPMScheduler

    return DDPMScheduler(
        beta_schedule="squaredcos_cap_v2",
        thresholding=True,
        dynamic_thresholding_ratio=0.95,
        sample_max_value=1.5,
        prediction_type="epsilon",
        variance_type="learned_range",
    )


def save_if(folder: Path) -> SimpleNamespace:
    """The three stages of DeepFloyd IF, at 32, 64 and 256 pixels."""
    import torch
    from diffusers import (
        AutoencoderKL,
        DDIMScheduler,
        DDPMScheduler,
        IFPipeline,
        IFSuperResolutionPipeline,
        StableDiffusionUpscalePipeline,
        UNet2DConditionModel,
    )

    torch.manual_seed(0)
    shared = dict(tokenizer=t5_tokenizer(), text_encoder=t5_encoder(), watermarker=watermarker())
    extractor = image_processor()
    IFPipeline(
        unet=if_unet(3, 32, condition=False),
        scheduler=if_scheduler(),
        safety_checker=if_checker(),
        feature_extractor=extractor,
        **shared,
    ).save_pretrained(folder / "stage1")
    IFSuperResolutionPipeline(
        unet=if_unet(6, 64, condition=True),
        scheduler=if_scheduler(),
        image_noising_scheduler=DDPMScheduler(beta_schedule="squaredcos_cap_v2"),
        safety_checker=if_checker(),
        feature_extractor=extractor,
        **shared,
    ).save_pretrained(folder / "stage2")
    StableDiffusionUpscalePipeline(
        vae=AutoencoderKL(
            block_out_channels=(8, 8, 16),
            in_channels=3,
            out_channels=3,
            norm_num_groups=4,
            down_block_types=("DownEncoderBlock2D",) * 3,
            up_block_types=("UpDecoderBlock2D",) * 3,
            latent_channels=4,
            scaling_factor=0.08333,
        ),
        text_encoder=clip_text(),
        tokenizer=clip_tokenizer(folder / "clip"),
        unet=UNet2DConditionModel(
            block_out_channels=(8, 16),
            layers_per_block=1,
            norm_num_groups=4,
            sample_size=32,
            in_channels=7,
            out_channels=4,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            cross_attention_dim=32,
            attention_head_dim=8,
            use_linear_projection=True,
            only_cross_attention=(True, True),
            num_class_embeds=150,
        ),
        low_res_scheduler=DDPMScheduler(),
        scheduler=DDIMScheduler(prediction_type="v_prediction"),
        max_noise_level=150,
    ).save_pretrained(folder / "stage3")
    return SimpleNamespace(**{f"stage{n}": str(folder / f"stage{n}") for n in (1, 2, 3)})


@pytest.fixture(scope="session")
def tiny_if(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    pytest.importorskip("diffusers")
    return save_if(tmp_path_factory.mktemp("if"))


def sd_checker(flags: bool) -> Any:
    """Stable Diffusion's safety checker with thresholds that everything or nothing passes."""
    import torch
    from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker

    checker = StableDiffusionSafetyChecker(clip_config())
    torch.nn.init.constant_(checker.concept_embeds_weights, -2.0 if flags else 2.0)
    torch.nn.init.constant_(checker.special_care_embeds_weights, 2.0)
    return checker.eval()


def tiny_vae(latent_channels: int = 4, **more: Any) -> Any:
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        block_out_channels=(8, 8),
        in_channels=3,
        out_channels=3,
        norm_num_groups=4,
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=latent_channels,
        **more,
    )


def save_sd(folder: Path, flags: bool = False) -> str:
    """Stable Diffusion with its safety checker; a pixel is two latents wide."""
    import torch
    from diffusers import DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel

    torch.manual_seed(1)
    StableDiffusionPipeline(
        vae=tiny_vae(),
        text_encoder=clip_text(),
        tokenizer=clip_tokenizer(folder / "clip"),
        unet=UNet2DConditionModel(
            block_out_channels=(8, 16),
            layers_per_block=1,
            norm_num_groups=4,
            sample_size=16,
            in_channels=4,
            out_channels=4,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            cross_attention_dim=32,
            attention_head_dim=8,
        ),
        scheduler=DDIMScheduler(clip_sample=False, steps_offset=1),
        safety_checker=sd_checker(flags),
        feature_extractor=image_processor(),
    ).save_pretrained(folder / "sd")
    return str(folder / "sd")


def save_flux(folder: Path) -> str:
    import torch
    from diffusers import FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel

    torch.manual_seed(2)
    FluxPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=tiny_vae(
            latent_channels=1,
            use_quant_conv=False,
            use_post_quant_conv=False,
            shift_factor=0.0609,
            scaling_factor=1.5035,
        ),
        text_encoder=clip_text(),
        tokenizer=clip_tokenizer(folder / "clip"),
        text_encoder_2=t5_encoder(),
        tokenizer_2=t5_tokenizer(),
        transformer=FluxTransformer2DModel(
            patch_size=1,
            in_channels=4,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=32,
            pooled_projection_dim=32,
            axes_dims_rope=(4, 4, 8),
        ),
    ).save_pretrained(folder / "flux")
    return str(folder / "flux")


@pytest.fixture(scope="session")
def tiny_sd(tmp_path_factory: pytest.TempPathFactory) -> str:
    pytest.importorskip("diffusers")
    return save_sd(tmp_path_factory.mktemp("sd"))


@pytest.fixture(scope="session")
def flagging_sd(tmp_path_factory: pytest.TempPathFactory) -> str:
    pytest.importorskip("diffusers")
    return save_sd(tmp_path_factory.mktemp("flagging"), flags=True)


@pytest.fixture(scope="session")
def tiny_flux(tmp_path_factory: pytest.TempPathFactory) -> str:
    pytest.importorskip("diffusers")
    return save_flux(tmp_path_factory.mktemp("flux"))
