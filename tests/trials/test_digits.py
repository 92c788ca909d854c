"""The digits, the network that reads them, and its gradient."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

from optdsl.loading import load
from optdsl.runtime.optimizer import Optimizer
from optdsl.trials import digits
from optdsl.trials.run import run_digits


def test_the_split_keeps_every_image_once_and_every_digit_in_the_test() -> None:
    train, test = digits.load()
    assert (len(train), len(test)) == (1437, 360)
    assert train.images.shape == (1437, 64)
    assert train.images.dtype == test.images.dtype == np.float32
    assert 0 == train.images.min() < train.images.max() == 1
    assert np.bincount(test.labels).tolist() == [36] * 10
    # No image is in both: the data holds no two that are alike.
    assert len({image.tobytes() for image in (*train.images, *test.images)}) == 1797


def test_the_split_is_the_same_at_every_call() -> None:
    for first, second in zip(digits.load(), digits.load(), strict=True):
        assert np.array_equal(first.images, second.images)
        assert np.array_equal(first.labels, second.labels)


def test_the_gradient_is_that_of_the_loss() -> None:
    rng = np.random.default_rng(3)
    network = {name: array.astype(np.float64) for name, array in digits.new_network(rng, hidden=6).items()}
    for bias in ("b1", "b2"):
        network[bias] += rng.normal(size=network[bias].shape)
    sample = digits.Sample(rng.uniform(size=(9, 64)), rng.integers(10, size=9))
    _, gradients = digits.loss_and_gradients(network, sample)
    assert gradients.keys() == network.keys()
    width = 1e-6
    for name, array in network.items():
        assert gradients[name].shape == array.shape
        for index in islice(np.ndindex(array.shape), 80):
            value = array[index]
            array[index] = value + width
            above = digits.score(network, sample).loss
            array[index] = value - width
            below = digits.score(network, sample).loss
            array[index] = value
            assert gradients[name][index] == pytest.approx((above - below) / (2 * width), rel=1e-5, abs=1e-8)


def test_a_huge_logit_overflows_nothing() -> None:
    train, _ = digits.load()
    network = digits.new_network(np.random.default_rng(0))
    network["b2"][3] = 1e30
    with np.errstate(all="raise", under="ignore"):
        loss, gradients = digits.loss_and_gradients(network, train)
    assert np.isfinite(loss)
    assert all(np.isfinite(gradient).all() for gradient in gradients.values())


def test_an_epoch_of_batches_holds_every_image_once() -> None:
    train, _ = digits.load()
    batches = list(islice(digits.batches(train, 32, np.random.default_rng(0)), 90))
    assert [len(batch) for batch in batches[:45]] == [32] * 44 + [29]
    first, second = (np.concatenate([batch.images for batch in part]) for part in (batches[:45], batches[45:]))
    assert not np.array_equal(first, second)
    for epoch in (first, second):
        assert sorted(map(bytes, epoch)) == sorted(map(bytes, train.images))


@pytest.mark.parametrize("seed", [0, 1])
def test_adam_at_its_defaults_reads_the_digits(target: str, seed: int) -> None:
    result = run_digits(load("adam", target), seed=seed)
    assert not result.diverged
    assert result.checkpoints[0].test.accuracy < 0.3
    assert result.checkpoints[-1].test.accuracy >= 0.96
    assert result.checkpoints[-1].train.accuracy >= 0.98


@pytest.mark.parametrize(("rule", "options"), [("sgd", {"lr": 0.1}), ("adadelta", {}), ("lion", {"lr": 1e-3})])
def test_other_rules_learn_too(rule: str, options: dict[str, float]) -> None:
    result = run_digits(load(rule, "numpy"), options, steps=900)
    assert result.checkpoints[-1].test.accuracy > 0.9


def test_a_seed_gives_the_same_run_again(adam: type[Optimizer]) -> None:
    first, second, other = (run_digits(adam, steps=60, seed=seed) for seed in (5, 5, 6))
    assert first.losses == second.losses
    assert first.checkpoints == second.checkpoints
    assert first.losses != other.losses


def test_checkpoints_are_at_the_start_after_each_epoch_and_at_the_end(adam: type[Optimizer]) -> None:
    seen: list[tuple[int, float]] = []
    result = run_digits(adam, steps=100, progress=lambda *report: seen.append(report))
    assert [point.step for point in result.checkpoints] == [0, 45, 90, 100]
    assert seen == list(enumerate(result.losses, start=1))


def test_divergence_ends_the_run_and_is_said(descent: type[Optimizer]) -> None:
    result = run_digits(descent, {"eta": 1e30})
    assert result.diverged
    assert len(result.losses) < 10


@pytest.mark.parametrize("steps", [0, -1])
def test_too_few_steps_are_refused(adam: type[Optimizer], steps: int) -> None:
    with pytest.raises(ValueError, match=f"steps = {steps} is below 1"):
        run_digits(adam, steps=steps)
