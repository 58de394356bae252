"""Speed as ratios: each module times our code and a reference in turns, in one process."""
