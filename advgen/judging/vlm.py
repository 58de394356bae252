"""A vision-language model in this process, asked two yes/no questions about each image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from advgen.chat import load_prompt
from advgen.errors import GenerationError, ModelError
from advgen.judging.weights import Weights, WeightsJudge
from advgen.records import ClassPair
from advgen.scoring.judges import Look

DEFAULT_MODEL = "Qwen/Qwen2.5-VL-3B-Instruct"
PROMPT = "judge.toml"
LEAST_MASS = 0.05
"""Below this probability of "yes" and "no" together the model does not answer the question."""


class VlmJudge(WeightsJudge):
    """Any `image-text-to-text` model of transformers with a chat template.

    The probability of yes is the softmax mass of all spellings of "yes" over that of "yes" and "no"
    at the first place of the answer.

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
        weights = Weights("AutoModelForImageTextToText", model, dtype, device)
        super().__init__(weights, f"vlm:{weights.title}")
        self._prompt = load_prompt(PROMPT)
        self._answers: tuple[list[int], list[int]] | None = None

    @property
    def revision(self) -> str:
        """Of the weights and of the questions.

        Raises:
            ModelError: If there is no such model, or it is not open to us.
        """
        return f"{self._weights.revision}+{self._prompt.revision}"

    def visible(self, looks: Sequence[Look]) -> Tensor:
        """See `WeightsJudge.visible`: the probability of yes."""
        asked = [
            (look.image, self._prompt.messages(thing=thing, careful=careful)[0].content)
            for look in looks
            for thing, careful in questions(look.pair)
        ]
        return self._yes(asked).view(-1, 2)

    def _yes(self, asked: Sequence[tuple[Image.Image, str]]) -> Tensor:
        """The probability of yes to each question, float64."""
        model, processor = self._weights.parts()
        inputs = _inputs(processor, asked, self.name).to(model.device)
        for name, value in inputs.items():
            if isinstance(value, Tensor) and value.is_floating_point():
                inputs[name] = value.to(model.dtype)
        with torch.inference_mode():
            answer = model.generate(
                **inputs,
                max_new_tokens=1,
                do_sample=False,
                temperature=None,
                top_p=None,
                top_k=None,
                output_logits=True,
                return_dict_in_generate=True,
            )
        if self._answers is None:
            self._answers = answer_tokens(processor.tokenizer, self.name)
        shares = answer.logits[0].double().cpu().softmax(-1)
        yes, no = (shares[:, tokens].sum(-1) for tokens in self._answers)
        if not bool((yes + no >= LEAST_MASS).all()):
            raise GenerationError(
                f"{self.name} answers neither yes nor no ({float((yes + no).min()):.1%} of the "
                "probability); use a model that answers at once, without thinking aloud"
            )
        return yes / (yes + no)


def open_vlm(target: str = "", *, dtype: str = "auto", device: str = "auto") -> VlmJudge:
    """The judge of `vlm` or `vlm:ID_OR_FOLDER`; see `open_judge`."""
    return VlmJudge(target or DEFAULT_MODEL, dtype=dtype, device=device)


def questions(pair: ClassPair) -> tuple[tuple[str, bool], tuple[str, bool]]:
    """What is asked for, and whether to look with special care: for the target class."""
    return (pair.true_class, False), (pair.target_class, True)


def means(text: str) -> bool | None:
    """Whether a piece of an answer says yes (True) or no (False); None: neither."""
    return {"yes": True, "no": False}.get(text.strip(" \t\n.,!*\"'").casefold())


def answer_tokens(tokenizer: Any, name: str) -> tuple[list[int], list[int]]:
    """Numbers of all tokens that spell yes, and of those that spell no, in any case or spacing.

    Args:
        tokenizer: Of transformers.
        name: Whose it is, for the message.

    Raises:
        ModelError: If the vocabulary has none of one of them.
    """
    special = set(tokenizer.all_special_ids)
    ids = [number for number in range(len(tokenizer)) if number not in special]
    texts = tokenizer.batch_decode([[number] for number in ids])
    said = [(number, means(text)) for number, text in zip(ids, texts, strict=True)]
    found = tuple(
        [number for number, meaning in said if meaning is wanted] for wanted in (True, False)
    )
    if not all(found):
        raise ModelError(f"{name} has no word for yes or no; use a model that speaks English")
    return found[0], found[1]


def _inputs(processor: Any, asked: Sequence[tuple[Image.Image, str]], name: str) -> Any:
    """The questions as a padded batch, the padding before them, so that all answers begin last."""
    tokenizer = getattr(processor, "tokenizer", None)
    if tokenizer is None or not getattr(processor, "chat_template", None):
        raise ModelError(f"{name} has no chat template; use an instruction-tuned model")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    tokenizer.padding_side = "left"
    talks = [
        [
            {
                "role": "user",
                "content": [{"type": "image", "image": image}, {"type": "text", "text": question}],
            }
        ]
        for image, question in asked
    ]
    return processor.apply_chat_template(
        talks,
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
        processor_kwargs={"padding": True},
    )
