"""Figures: each module prints what it measures, as ratios against a reference in the same run."""
