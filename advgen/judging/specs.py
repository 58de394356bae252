"""A judge by its specification, `KIND` or `KIND:TARGET`."""

from __future__ import annotations

import inspect
from typing import Any

from advgen import registry
from advgen.errors import ConfigError
from advgen.scoring.judges import BatchJudge, OneByOne

FORMS = "sandbox, vlm[:ID_OR_FOLDER], owlv2[:ID_OR_FOLDER] or server:MODEL@BASE_URL"


def open_judge(spec: str, *, dtype: str = "auto", device: str = "auto") -> BatchJudge:
    """Open a judge; models are loaded when it looks for the first time.

    Args:
        spec: One of

            - ``"sandbox"``: the exact judge of images that the sandbox drew;
            - ``"vlm"`` or ``"vlm:ID_OR_FOLDER"``: a vision-language model in this process;
            - ``"owlv2"`` or ``"owlv2:ID_OR_FOLDER"``: a detector in this process;
            - ``"server:MODEL@BASE_URL"``: a vision-language model on any server that speaks the
              OpenAI chat protocol. Without ``@BASE_URL`` it is ``$OPENAI_BASE_URL``, else
              OpenAI's. A key, where one is needed, is read from ``$OPENAI_API_KEY``.
        dtype: Number format of a model in this process.
        device: Where such a model is put; `auto` for the GPU where there is one.

    Raises:
        ConfigError: If the specification is not of such a form, or a package is missing.
    """
    kind, colon, target = (part.strip() for part in spec.partition(":"))
    if kind == "none" or (colon and not target):
        raise ConfigError(f"'{spec}' is not a judge that looks; write {FORMS}")
    make = registry.resolve("judge", kind)
    given: dict[str, Any] = {"target": target, "dtype": dtype, "device": device}
    taken = inspect.signature(make).parameters
    if target and "target" not in taken:
        raise ConfigError(f"the judge '{kind}' takes nothing after its name; write '{kind}'")
    judge = make(**{name: value for name, value in given.items() if name in taken})
    return judge if hasattr(judge, "judge_many") else OneByOne(judge)
