"""How often images made against one CLIP fool it and others: rates, tests, transfer."""
