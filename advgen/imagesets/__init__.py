"""Image sets: what the lens looks at and what zero-shot accuracy is measured on.

`advgen.imagesets.spec` documents how a set is named. `advgen.imagesets.batches` reads sets as
pixels; it imports torch and stands apart for that reason.
"""

from advgen.imagesets.chosen import ChosenImages
from advgen.imagesets.files import UnreadableImageError, image_files, open_image
from advgen.imagesets.folder import FolderImages
from advgen.imagesets.protocol import ImageSet, class_labels
from advgen.imagesets.spec import load_image_set

__all__ = [
    "ChosenImages",
    "FolderImages",
    "ImageSet",
    "UnreadableImageError",
    "class_labels",
    "image_files",
    "load_image_set",
    "open_image",
]
