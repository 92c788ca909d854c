"""Passes from the typed rule to its kernels; `pipeline.py` lists them in order."""
