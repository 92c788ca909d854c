"""Handwritten digits and a small network that reads them, in plain NumPy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating]
Labels = npt.NDArray[np.intp]
Network = Mapping[str, Array]
"""Parameters by name: W1 (64, hidden), b1 (hidden,), W2 (hidden, 10), b2 (10,)."""

PIXELS, CLASSES = 64, 10
HIDDEN = 128
TEST_PER_CLASS = 36
"""Images of each digit that are kept for the test: a fifth of all."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Images (n, 64), from 0 to 1, and their labels (n,), 0 to 9."""

    images: Array
    labels: Labels

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, slots=True)
class Score:
    """How well a network does on a sample: its mean loss, and the share of images it names rightly."""

    loss: float
    accuracy: float


def load() -> tuple[Sample, Sample]:
    """Return the 1,437 images to train on and the 360 to test with, the same at every call.

    Each digit has 36 images in the test. The split is by image and not by writer, so the test says how well a network
    reads other images of the same hands.
    """
    with (files("optdsl") / "data" / "digits.npz").open("rb") as stream, np.load(stream) as data:
        images = data["images"].astype(np.float32) / np.float32(16)
        labels = data["labels"].astype(np.intp)
    shuffled = np.random.default_rng(0).permutation(len(labels))
    by_class = [shuffled[labels[shuffled] == digit] for digit in range(CLASSES)]
    test = np.sort(np.concatenate([members[:TEST_PER_CLASS] for members in by_class]))
    train = np.sort(np.concatenate([members[TEST_PER_CLASS:] for members in by_class]))
    return Sample(images[train], labels[train]), Sample(images[test], labels[test])


def new_network(rng: np.random.Generator, hidden: int = HIDDEN) -> dict[str, Array]:
    """Return the parameters of a network 64 - hidden - 10, float32.

    Weights are normal with variance 2/inputs (He et al. 2015, arXiv:1502.01852), which keeps the size of a signal
    through ReLU; biases are 0.
    """

    def weights(inputs: int, outputs: int) -> Array:
        drawn: Array = rng.standard_normal((inputs, outputs)) * np.sqrt(2 / inputs)
        return drawn.astype(np.float32)

    return {
        "W1": weights(PIXELS, hidden),
        "b1": np.zeros(hidden, np.float32),
        "W2": weights(hidden, CLASSES),
        "b2": np.zeros(CLASSES, np.float32),
    }


def loss_and_gradients(network: Network, sample: Sample) -> tuple[float, dict[str, Array]]:
    """Return the mean cross-entropy of a network's softmax over a sample, and its gradient by each parameter."""
    hidden, logits = _forward(network, sample.images)
    d_logits, loss = _softmax_loss(logits, sample.labels)
    # The derivative of softmax and cross-entropy together is the difference between what was said and what is true.
    d_logits[np.arange(len(sample)), sample.labels] -= 1
    d_logits /= len(sample)
    d_hidden = (d_logits @ network["W2"].T) * (hidden > 0)
    return loss, {
        "W1": sample.images.T @ d_hidden,
        "b1": d_hidden.sum(axis=0),
        "W2": hidden.T @ d_logits,
        "b2": d_logits.sum(axis=0),
    }


def score(network: Network, sample: Sample) -> Score:
    """Return a network's loss and accuracy on a sample."""
    _, logits = _forward(network, sample.images)
    _, loss = _softmax_loss(logits, sample.labels)
    return Score(loss, float((logits.argmax(axis=1) == sample.labels).mean()))


def batches(sample: Sample, size: int, rng: np.random.Generator) -> Iterator[Sample]:
    """Yield batches without end: each epoch goes through the whole sample in an order of its own."""
    while True:
        order = rng.permutation(len(sample))
        for start in range(0, len(order), size):
            chosen = order[start : start + size]
            yield Sample(sample.images[chosen], sample.labels[chosen])


def _forward(network: Network, images: Array) -> tuple[Array, Array]:
    """Return the hidden layer (n, hidden) and the logits (n, 10)."""
    hidden = np.maximum(images @ network["W1"] + network["b1"], 0)
    return hidden, hidden @ network["W2"] + network["b2"]


def _softmax_loss(logits: Array, labels: Labels) -> tuple[Array, float]:
    """Return the softmax of each row, and the mean of minus the logarithm of the right label's share."""
    # Shifted so that the largest is 0: exp can't overflow, and neither quotient nor logarithm changes.
    shifted = logits - logits.max(axis=1, keepdims=True)
    exponentials = np.exp(shifted)
    sums = exponentials.sum(axis=1, keepdims=True)
    right = shifted[np.arange(len(labels)), labels]
    return exponentials / sums, float((np.log(sums[:, 0]) - right).mean())
