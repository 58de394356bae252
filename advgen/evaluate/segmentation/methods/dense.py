"""What the dense methods share: patches read out like the class token, and a class direction.

A dense method changes what the last blocks write into the patches, reads every patch through the
final norm and the projection as if it were the class token, and takes the cosine with the class.

Training aligns the class token alone with texts: that patches read out in the same way say what is
in them is a property of some models, not of the method. Where patches beside the thing read out as
its class, the map is bright around the thing and dark on it, and its negative scores better than it
does. Of the packaged models sandbox-a is such a one and sandbox-b is not, by the same code
(docs/results.md has sandbox-a).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from advgen.errors import ModelError
from advgen.evaluate.segmentation.protocol import SegmenterInputs
from advgen.models import encode_classes
from advgen.models.vision.explicit import ExplicitTower


class ClassDirection:
    """The class embedding c, or c minus the mean embedding of other classes.

    A map that is linear in c becomes, by the difference, the map of c minus the mean map of the
    others: what all classes share is left out.

    Args:
        inputs: Model that encodes the names, and the prompts that they stand in.
        contrast: Names of the other classes; with none, c itself.
    """

    def __init__(self, inputs: SegmenterInputs, contrast: Sequence[str] = ()) -> None:
        clip = inputs.clip
        dtype, device = clip.vision.working_dtype, clip.vision.device
        self._mean = torch.zeros(clip.embed_dim, dtype=dtype, device=device)
        if contrast:
            others = encode_classes(clip, contrast, templates=inputs.templates)
            self._mean = others.to(self._mean).mean(dim=0)

    def __call__(self, classes: Float[Tensor, "image embed"]) -> Float[Tensor, "image embed"]:
        """The directions, in the tower's working dtype and on its device."""
        return classes.to(self._mean) - self._mean


class PatchMethod(ABC):
    """A segmenter with a value per patch."""

    @abstractmethod
    def patches(
        self,
        pixels: Float[Tensor, "image 3 height width"],
        classes: Float[Tensor, "image embed"],
    ) -> Float[Tensor, "image patch"]:
        """The values of `heatmaps` in order of the tokens, as wide as they were computed."""

    @torch.no_grad()
    def heatmaps(
        self,
        pixels: Float[Tensor, "image 3 height width"],
        classes: Float[Tensor, "image embed"],
    ) -> Float[Tensor, "image row column"]:
        """See `advgen.evaluate.segmentation.protocol.Segmenter.heatmaps`."""
        values = self.patches(pixels, classes)
        grid = patch_grid(values.shape[1], pixels.shape[2], pixels.shape[3])
        return values.unflatten(1, grid).to("cpu", torch.float32)


def patch_grid(patches: int, height: int, width: int) -> tuple[int, int]:
    """Rows and columns of square patches that tile an image; no tower has to be asked.

    Raises:
        ModelError: If that many patches do not tile an image of this shape.
    """
    rows = max(1, round((patches * height / width) ** 0.5))
    columns = patches // rows
    if rows * columns != patches or abs(rows * width - columns * height) >= max(height, width):
        raise ModelError(
            f"{patches} patches do not tile an image of {height} x {width} pixels; choose a model"
            " whose tokens are the patches of a grid"
        )
    return rows, columns


class PatchSimilarity(PatchMethod):
    """Cosine of every patch's readout with the class.

    The sources name one of several classes per patch (argmax over cosines); for the map of one
    class the cosine itself is kept. `contrast` takes the mean cosine with other classes off it.

    Args:
        inputs: See `SegmenterInputs`; the model must have a class token.
        contrast: Names of other classes, see `ClassDirection`.

    Raises:
        ModelError: If the tower's embedding is not its class token's.
    """

    def __init__(self, inputs: SegmenterInputs, *, contrast: Sequence[str] = ()) -> None:
        self.vision = inputs.clip.vision
        self.tower = ExplicitTower(self.vision)
        self._direction = ClassDirection(inputs, contrast)

    @abstractmethod
    def stream(
        self, pixels: Float[Tensor, "image 3 height width"]
    ) -> Float[Tensor, "image token width"]:
        """What takes the place of the stream leaving the last block."""

    @torch.no_grad()
    def patches(self, pixels: Tensor, classes: Tensor) -> Tensor:
        """See `PatchMethod.patches`; cosines."""
        patches = self.stream(pixels)[:, self.vision.prefix_tokens :]
        features = F.normalize(self.tower.readout(patches), dim=-1)
        return torch.einsum("ipe,ie->ip", features, self._direction(classes))


class ChangedLastBlock(PatchSimilarity):
    """A last block in which attention is replaced; its residual and its MLP can be left out.

    Args:
        inputs: See `PatchSimilarity`.
        residual: Whether the stream entering the block is added to what the attention writes.
        mlp: Whether the block's MLP follows.
        contrast: See `PatchSimilarity`.

    Raises:
        ModelError: If the tower's embedding is not its class token's.
    """

    def __init__(
        self,
        inputs: SegmenterInputs,
        *,
        residual: bool = True,
        mlp: bool = True,
        contrast: Sequence[str] = (),
    ) -> None:
        super().__init__(inputs, contrast=contrast)
        self._residual, self._mlp = residual, mlp

    @abstractmethod
    def mixed(
        self, qkv: Float[Tensor, "3 image head token head_width"]
    ) -> Float[Tensor, "image head token head_width"]:
        """What takes the place of attention times values.

        Args:
            qkv: Queries, keys and values of the last block, not scaled.
        """

    def stream(self, pixels: Tensor) -> Tensor:
        """See `PatchSimilarity.stream`."""
        last = self.tower.layers - 1
        block = self.tower.blocks[last]
        capture = self.vision.capture(pixels, norms=(last,))
        normed = capture.normed[last].to(self.vision.working_dtype)
        stream = block.write(self.mixed(block.project(normed)))
        if self._residual:
            stream = stream + capture.residuals[last]
        return stream + block.mlp(stream)[1] if self._mlp else stream


def self_attention(
    x: Float[Tensor, "image head token head_width"],
) -> Float[Tensor, "image head token token"]:
    """Softmax of the scaled products of queries with queries (or keys with keys)."""
    return (x @ x.transpose(2, 3) * x.shape[-1] ** -0.5).softmax(dim=-1)
