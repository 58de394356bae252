"""Which vision towers the lens reads, and a clear refusal of the others."""

from open_clip.modified_resnet import ModifiedResNet
from open_clip.timm_model import TimmModel
from open_clip.transformer import VisionTransformer
from torch import nn

from advgen.errors import ModelError
from advgen.models.vision import native, timm_tower
from advgen.models.vision.tower import VisionTower


def vision_tower(visual: nn.Module) -> VisionTower:
    """View an open_clip vision tower.

    Read are open_clip's own transformers (class token, mean before or after the final norm, CoCa's
    attention pool; layer scale; any activation) and timm's plain ones (SigLIP, SigLIP 2).

    Raises:
        ModelError: If it is of another kind; the message names what it is.
    """
    if isinstance(visual, VisionTransformer):
        fault = native.fault(visual)
        if fault is None:
            return native.NativeTower(visual)
    elif isinstance(visual, TimmModel):
        fault = timm_tower.fault(visual)
        if fault is None:
            return timm_tower.TimmTower(visual)
    elif isinstance(visual, ModifiedResNet):
        fault = "a ResNet (open_clip's ModifiedResNet)"
    else:
        fault = f"a {type(visual).__name__}"
    raise ModelError(
        f"the vision tower is {fault}; the lens reads open_clip's own vision transformers and "
        "timm's plain ones (CLIP, OpenCLIP, CLIPA, CoCa, SigLIP). Scoring and evaluation work "
        "with this model all the same."
    )
