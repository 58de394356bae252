"""The CLIP under attack: the protocol, open_clip behind it, loading by name, class texts."""

from advgen.models.loading import load_clip, load_folder
from advgen.models.open_clip_model import OpenClipModel
from advgen.models.protocol import ClipModel
from advgen.models.text import DEFAULT_TEMPLATES, encode_classes
from advgen.models.vision import VisionTower

__all__ = [
    "DEFAULT_TEMPLATES",
    "ClipModel",
    "OpenClipModel",
    "VisionTower",
    "encode_classes",
    "load_clip",
    "load_folder",
]
