"""What people are asked about an image, the same in every review format."""

from __future__ import annotations

from advgen.english import with_article
from advgen.exports.protocol import REASONS
from advgen.exports.source import Row

ANSWERS = ("yes", "no", "unsure")
TRUE_VISIBLE, TARGET_VISIBLE, WHY = "true_visible", "target_visible", "reasons"
"""Names of the three fields in every form."""

GUIDELINES = (
    "Look at the image alone. Say whether the true class can be seen in it, and whether the target "
    "class can be seen in it, also in part, as a picture or a toy. 'unsure' is an answer. Name a "
    f"reason ({', '.join(REASONS)}) if the image should not be used for another cause."
)


def questions(row: Row) -> tuple[str, str]:
    """The questions about the true and about the target class."""
    return (
        f"Is there {with_article(row.true_class)} in the image?",
        f"Is there {with_article(row.target_class)} in the image?",
    )


def suggested(row: Row) -> dict[str, tuple[str, float]]:
    """What judges would answer: field -> answer and its probability; empty when nobody judged."""
    if row.judged is None:
        return {}
    _judge, present, absent = row.judged
    return {
        TRUE_VISIBLE: ("yes", present) if present > 0.5 else ("no", 1 - present),
        TARGET_VISIBLE: ("no", absent) if absent > 0.5 else ("yes", 1 - absent),
    }
