"""Relevance of a tiny tower's pass by loops over images, tokens, heads and contributions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from doubles.towers import module_steps
from torch import Tensor

Shares = tuple[np.ndarray, np.ndarray]


def array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().numpy()


def linear(x: np.ndarray, weight: np.ndarray, relevance: np.ndarray) -> np.ndarray:
    """One token: every output's relevance to its positive contributions."""
    given = np.zeros_like(x)
    for output, amount in enumerate(relevance):
        parts = np.maximum(weight[output] * x, 0)
        if parts.sum() > 0:
            given += parts / parts.sum() * amount
    return given


def plain_sum(a: np.ndarray, b: np.ndarray, relevance: np.ndarray) -> Shares:
    return relevance * a / (a + b), relevance * b / (a + b)


def normalized_sum(a: np.ndarray, b: np.ndarray, relevance: np.ndarray) -> Shares:
    """The same, and the whole image's relevance divided by the size of the two sums."""
    of_a, of_b = plain_sum(a, b, relevance)
    size = abs(of_a.sum()) + abs(of_b.sum())
    for share in (of_a, of_b):
        share *= abs(share.sum()) / size * relevance.sum() / share.sum()
    return of_a, of_b


def product(left: np.ndarray, right: np.ndarray, relevance: np.ndarray) -> Shares:
    of_left, of_right = np.zeros_like(left), np.zeros_like(right)
    for i in range(len(left)):
        for j in range(right.shape[1]):
            terms = left[i] * right[:, j]
            shares = terms / terms.sum() * relevance[i, j] / 2
            of_left[i] += shares
            of_right[:, j] += shares
    return of_left, of_right


def relevance_by_loops(
    visual: Any, pixels: Tensor, classes: Tensor, residual: Callable[..., Shares]
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Layer -> relevance of the stream entering it and of its attention."""
    steps = module_steps(visual, pixels)
    streams: list[Any] = [[] for _ in steps]
    attentions: list[Any] = [[] for _ in steps]
    for image in range(len(pixels)):
        normed = array(visual.ln_post(steps[-1].leaving[image, 0]))
        head = array(visual.proj) @ array(classes[image])
        relevance = np.zeros(steps[-1].leaving.shape[1:])
        relevance[0] = linear(normed, head[None], np.ones(1))
        for layer in reversed(range(len(steps))):
            block = visual.transformer.resblocks[layer]
            one = {name: array(value[image]) for name, value in vars(steps[layer]).items()}
            relevance = mlp(block, one, relevance, residual)
            relevance, of_attention = attention(block, one, relevance, residual)
            streams[layer].append(relevance)
            attentions[layer].append(of_attention)
    return [np.stack(rows) for rows in streams], [np.stack(rows) for rows in attentions]


def scale_of(module: Any) -> Any:
    return array(module.gamma)[:, None] if hasattr(module, "gamma") else 1.0


def mlp(block: Any, one: Any, relevance: np.ndarray, residual: Any) -> np.ndarray:
    kept, written = residual(one["between"], one["leaving"] - one["between"], relevance)
    fall = array(block.mlp.c_proj.weight) * scale_of(block.ls_2)
    for token in range(len(kept)):
        neurons = linear(one["activations"][token], fall, written[token])
        kept[token] += linear(one["normed_between"][token], array(block.mlp.c_fc.weight), neurons)
    return kept


def attention(block: Any, one: Any, relevance: np.ndarray, residual: Any) -> Shares:
    kept, written = residual(one["entering"], one["between"] - one["entering"], relevance)
    attn = block.attn
    joint = one["normed"] @ array(attn.in_proj_weight).T + array(attn.in_proj_bias)
    query, key, value = np.split(joint, 3, axis=1)
    width = query.shape[1] // attn.num_heads
    parts = [slice(head * width, (head + 1) * width) for head in range(attn.num_heads)]
    mixed = np.concatenate(
        [one["attention"][head] @ value[:, part] for head, part in enumerate(parts)], axis=1
    )
    out = array(attn.out_proj.weight) * scale_of(block.ls_1)
    of_mixed = np.stack([linear(m, out, w) for m, w in zip(mixed, written, strict=True)])
    of_query, of_key, of_value = (np.zeros_like(query) for _ in range(3))
    of_attention = np.zeros_like(one["attention"])
    for head, part in enumerate(parts):
        of_attention[head], of_value[:, part] = product(
            one["attention"][head], value[:, part], of_mixed[:, part]
        )
        of_query[:, part], back = product(query[:, part], key[:, part].T, of_attention[head])
        of_key[:, part] = back.T
    of_joint = np.concatenate([of_query, of_key, of_value], axis=1)
    for token in range(len(kept)):
        kept[token] += linear(one["normed"][token], array(attn.in_proj_weight), of_joint[token])
    return kept, of_attention
