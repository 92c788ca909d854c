"""Write ``optdsl/data/digits.npz`` from the copy of the handwritten digits that scikit-learn ships.

``python tests/reference/make_digits.py`` (needs scikit-learn). ``images`` (1797, 64) holds the 8 x 8 pixels row by row,
0 to 16; ``labels`` (1797,) the digits; both are uint8. Origin and licence are in ``optdsl/data/README.md``.
"""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np

TARGET = Path(__file__).resolve().parents[2] / "optdsl" / "data" / "digits.npz"


def main() -> None:
    """Write the file and say how large it is."""
    datasets = importlib.import_module("sklearn.datasets")  # by name: it ships no types
    pixels, digits = datasets.load_digits(return_X_y=True)
    images, labels = np.asarray(pixels).astype(np.uint8), np.asarray(digits).astype(np.uint8)
    assert images.shape == (1797, 64)
    assert np.array_equal(images, pixels)
    assert labels.shape == (1797,)
    assert np.array_equal(labels, digits)
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(TARGET, images=images, labels=labels)
    print(f"{TARGET.name}: {TARGET.stat().st_size} bytes")


if __name__ == "__main__":
    main()
