"""Checkpoints that earlier formats left behind, the rules they are of, and what the next steps made of them."""
