"""Mean ablation of second-order effects as a linear update of stored image embeddings.

Source: arXiv 2406.04341, Sec. 3.3 (Fig. 3). With attention and scales frozen an effect is a term of
the embedding, so replacing it by its mean needs no second pass of the tower.
"""

from collections.abc import Collection

import torch
from jaxtyping import Float, Int
from torch import Tensor

from advgen.lens.directions import centred_rows, neuron_chunks
from advgen.lens.second_order import CollectedEffects, SecondOrderLens


@torch.no_grad()
def ablated_representations(
    lens: SecondOrderLens, collected: CollectedEffects, layers: Collection[int] | None = None
) -> Float[Tensor, "image embed"]:
    """M(I) - sum_n (phi_n(I) - mean phi_n): every neuron's effect replaced by its mean.

    Args:
        lens: The lens that collected the effects.
        collected: Its `SecondOrderLens.collect` over the image set.
        layers: Layers to ablate, together; all collected ones if None.

    Returns:
        Image embeddings, not normalised, in the scale of the effects, on the CPU.

    Raises:
        ValueError: If a layer was not collected.
    """
    wanted = tuple(collected.tables) if layers is None else tuple(layers)
    missing = [layer for layer in wanted if layer not in collected.tables]
    if missing:
        raise ValueError(f"layers must be among {tuple(collected.tables)}; got {missing}")
    total = torch.zeros_like(collected.representation)
    for layer in wanted:
        table = collected.tables[layer]
        for chunk in neuron_chunks(table):
            rows = lens.basis.rows(layer, chunk)
            centred, _ = centred_rows(table, rows, chunk)
            flat = centred.transpose(0, 1).flatten(1)
            total += (flat @ rows.flatten(0, 1)).cpu()
    return collected.representation - total


def classification_accuracy(
    representation: Float[Tensor, "image embed"],
    classifier: Float[Tensor, "class embed"],
    labels: Int[Tensor, " image"],
) -> float:
    """Share of images whose most similar class is their label, in [0, 1].

    Args:
        representation: Image embeddings of any positive scale.
        classifier: Unit rows, see `advgen.models.encode_classes`.
        labels: Row of the right class per image.
    """
    predicted = (representation @ classifier.to(representation).T).argmax(dim=1)
    return float((predicted == labels.to(predicted.device)).float().mean())
