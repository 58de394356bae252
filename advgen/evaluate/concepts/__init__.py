"""Concept discovery (Sec. 5.2): words for what is in an image, read from its active neurons."""
