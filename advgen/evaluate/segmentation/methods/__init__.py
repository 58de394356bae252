"""The segmentation methods, a file each; `advgen.registry` has their names (kind "segmenter")."""
