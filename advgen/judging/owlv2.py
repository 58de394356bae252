"""A detector that is asked for a class by name: OWLv2, a second family beside language models."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from advgen.english import looks_plural, with_article
from advgen.errors import ModelError
from advgen.judging.weights import Weights, WeightsJudge
from advgen.scoring.judges import Look

DEFAULT_MODEL = "google/owlv2-base-patch16-ensemble"
QUERY, QUERY_VERSION = "a photo of {thing}", 1
_TYPES = ("owlv2", "owlvit")


class Owlv2Judge(WeightsJudge):
    """OWLv2 (or OWL-ViT): the best score of any box for "a photo of a CLASS".

    The score is the detector's own and is not calibrated, so its thresholds are its own too
    (`policy.THRESHOLDS`). Its towers come from CLIP, so it never decides alone.

    Differs from the paper: there people looked.

    Args:
        model: Hugging Face id, after which `@REVISION` may stand, or local folder.
        dtype: Number format: `auto` (the checkpoint's), `float32`, `bfloat16` or `float16`.
        device: Where the model is put; `auto` for this process's GPU where there is one.

    Raises:
        ConfigError: If `dtype` is not known.
    """

    def __init__(
        self, model: str = DEFAULT_MODEL, *, dtype: str = "auto", device: str = "auto"
    ) -> None:
        weights = Weights("AutoModelForZeroShotObjectDetection", model, dtype, device)
        super().__init__(weights, f"owlv2:{weights.title}")

    @property
    def revision(self) -> str:
        """Of the weights and of the query.

        Raises:
            ModelError: If there is no such model, or it is not open to us.
        """
        return f"{self._weights.revision}+query{QUERY_VERSION}"

    def visible(self, looks: Sequence[Look]) -> Tensor:
        """See `WeightsJudge.visible`: the best score of any box."""
        model, processor = self._weights.parts()
        if model.config.model_type not in _TYPES:
            raise ModelError(f"{self.name} is no OWLv2 model; use one such as {DEFAULT_MODEL}")
        inputs = processor(
            images=[look.image for look in looks],
            text=[[query(look.pair.true_class), query(look.pair.target_class)] for look in looks],
            truncation=True,
            return_tensors="pt",
        ).to(model.device)
        inputs["pixel_values"] = inputs["pixel_values"].to(model.dtype)
        with torch.inference_mode():
            logits = model(**inputs).logits
        return logits.double().cpu().sigmoid().amax(dim=1)


def open_owlv2(target: str = "", *, dtype: str = "auto", device: str = "auto") -> Owlv2Judge:
    """The judge of `owlv2` or `owlv2:ID_OR_FOLDER`; see `open_judge`."""
    return Owlv2Judge(target or DEFAULT_MODEL, dtype=dtype, device=device)


def query(noun: str) -> str:
    """What the detector is asked for: "a photo of a dog"."""
    return QUERY.format(thing=noun if looks_plural(noun) else with_article(noun))
