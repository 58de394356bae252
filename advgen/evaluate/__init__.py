"""What CLIPs make of images: robustness to released data, segmentation, concepts in an image."""
