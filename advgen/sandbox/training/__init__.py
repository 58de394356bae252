"""How the sandbox's own CLIPs are trained: drawn scenes in, an open_clip checkpoint out."""
