"""Parameters of 16 bits: steps and states in float32, nothing lost without a word, nothing NaN for want of digits."""

from __future__ import annotations

import warnings
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

import optdsl

from .elsewhere import elsewhere
from .support import Array, everything, normal

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
HALVES = [np.dtype(np.float16), BFLOAT16]

half = pytest.mark.parametrize("half", HALVES, ids=str)


def stands_still(rule: str, target: str, half: np.dtype[np.floating]) -> None:
    """Check that zero gradients from the start leave a parameter where it is, and make nothing NaN."""
    x = np.linspace(-2, 2, 7).astype(half)
    before = x.tobytes()
    opt = optdsl.load(rule, target=target)({"W": x})
    for _ in range(3):
        opt.step({"W": np.zeros(7, half)})
    assert x.tobytes() == before
    for name, state in opt.state["W"].items():
        assert np.isfinite(state.astype(np.float64)).all(), name


@half
@pytest.mark.parametrize("rule", ["adam", "amsgrad", "adabelief", "radam"])
@elsewhere("google-deepmind/optax#1754", "google-deepmind/optax#1769", "afiaka87/glide-finetune#6")
def test_adam_and_its_kin_stand_still_at_a_zero_gradient(rule: str, half: np.dtype[np.floating], target: str) -> None:
    """Zero gradients leave 16-bit parameters of the Adam family where they are.

    The eps was added in float16, where its default is zero: 0/0 made parameters NaN at the first zero gradient.
    """
    stands_still(rule, target, half)


@half
@pytest.mark.parametrize("rule", ["adan", "novograd", "adadelta"])
@elsewhere("google-deepmind/optax#1789", "google-deepmind/optax#1790")
def test_adan_novograd_and_adadelta_stand_still(rule: str, half: np.dtype[np.floating], target: str) -> None:
    """Rules with several moments, or with one for a whole tensor, stand still at zero gradients.

    Once the Adam family had been mended, Adan and NovoGrad still divided 0 by 0.
    """
    stands_still(rule, target, half)


@half
@pytest.mark.parametrize("rule", ["rmsprop", "adagrad"])
@elsewhere("google-deepmind/optax#1784")
def test_root_mean_squares_stand_still(rule: str, half: np.dtype[np.floating], target: str) -> None:
    """Rules that divide by a root mean square stand still at zero gradients, wherever they add their eps.

    An infinite scale, one over a root of zero and an eps of zero, was multiplied by a gradient of zero.
    """
    stands_still(rule, target, half)


@half
@elsewhere("google-deepmind/optax#1768")
def test_a_maximum_norm_stands_still(half: np.dtype[np.floating], target: str) -> None:
    """A rule that divides by a maximum of magnitudes stands still at zero gradients.

    The infinity norm of a zero gradient was its eps, which is zero in float16.
    """
    stands_still("adamax", target, half)


@elsewhere("chainer/chainer#6299", "chainer/chainer#3753", "chainer/chainer#6442")
def test_the_default_eps_is_no_obstacle(target: str) -> None:
    """A float16 parameter takes Adam's default eps: the step is that of float32, rounded once.

    Optimizers refused float16 parameters because their default eps is zero there, until arithmetic went on in float32.
    """
    start, g = normal(64, dtype="float16"), [normal(64, seed=k, dtype="float16") for k in range(1, 4)]
    x = start.copy()
    opt = optdsl.load("adam", target=target)({"W": x}, lr=0.05)
    for gradient in g:
        wide = x.astype(np.float32)
        twin = optdsl.load("adam", target=target)({"W": wide}, lr=0.05)
        document = opt.state_dict()
        twin.load_state_dict({**document, "options": twin.state_dict()["options"]})
        opt.step({"W": gradient})
        twin.step({"W": gradient.astype(np.float32)})
        np.testing.assert_array_equal(x, wide.astype(np.float16))


def trained(target: str, steps: int = 100, **options: object) -> tuple[Array, Array]:
    """Return a bfloat16 parameter after steps of AdamW along a constant gradient, and the same in float32."""
    AdamW = optdsl.load("adamw", target=target)
    x, wide = np.ones(5, BFLOAT16), np.ones(5, np.float32)
    opt, twin = AdamW({"W": x}, lr=6e-4, **options), AdamW({"W": wide}, lr=6e-4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        for _ in range(steps):
            opt.step({"W": np.full(5, 0.5, BFLOAT16)})
            twin.step({"W": np.full(5, 0.5, np.float32)})
    return x, wide


@elsewhere("workofart/ml-by-hand#85", "pytorch/pytorch#120376")
def test_master_weights_keep_what_16_bits_lose(target: str) -> None:
    """With master_weights=True a bfloat16 parameter is the rounding of the one that float32 would have.

    Updates smaller than half the distance to the next bfloat16 were rounded away: after a hundred steps of 6e-4 a
    weight of 1 was still 1.
    """
    mastered, wide = trained(target, master_weights=True)
    np.testing.assert_array_equal(mastered, wide.astype(BFLOAT16))
    assert (mastered.astype(np.float32) < 0.95).all()
    lost, _ = trained(target)
    assert (lost == 1).all(), "without masters all of it is lost, which is what the warning is about"


@elsewhere("keras-team/keras-hub#2629")
def test_updates_that_are_all_lost_are_warned_about(target: str) -> None:
    """Where rounding undoes a parameter's updates, a warning names the parameter and the remedy, once.

    Training in bfloat16 went on with the same loss in every epoch, and nothing said that no weight moved.
    """
    x = np.ones(50, BFLOAT16)
    opt = optdsl.load("adamw", target=target)({"layer.W": x}, lr=1e-4)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(20):
            opt.step({"layer.W": np.full(50, 0.5, BFLOAT16)})
    told = [str(warning.message) for warning in caught if warning.category is UserWarning]
    assert len(told) == 1
    assert "layer.W" in told[0]
    assert "master_weights=True" in told[0]
    still = optdsl.load("adam", target=target)({"W": np.ones(50, BFLOAT16)})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(20):
            still.step({"W": np.zeros(50, BFLOAT16)})


@elsewhere("Nerogar/OneTrainer#996")
def test_decay_is_not_rounded_by_itself(target: str) -> None:
    """Decay and update are added up in float32 and rounded once; with master weights small decays add up, too.

    Weight decay was applied in bfloat16 by itself, where it is always less than a rounding: there was none.
    """
    x, wide = np.ones(4, BFLOAT16), np.ones(4, np.float32)
    AdamW = optdsl.load("adamw", target=target)
    opt, twin = (
        AdamW({"W": x}, lr=1e-2, weight_decay=0.1, master_weights=True),
        AdamW({"W": wide}, lr=1e-2, weight_decay=0.1),
    )
    for _ in range(60):
        opt.step({"W": np.zeros(4, BFLOAT16)})
        twin.step({"W": np.zeros(4, np.float32)})
    np.testing.assert_array_equal(x, wide.astype(BFLOAT16))
    assert (x < 0.97).all()


@half
@elsewhere("databricks/flashoptim#2")
def test_states_do_not_pass_through_16_bits(half: np.dtype[np.floating], target: str) -> None:
    """The states of a 16-bit parameter are float32 through and through: the bits that float32 gradients leave.

    A kernel rounded moments to the parameter's type before it stored them as float32, at every step.
    """
    gradients = [normal(33, seed=k, dtype="float32").astype(half) for k in range(1, 6)]
    opt = optdsl.load("adam", target=target)({"W": np.ones(33, half)}, lr=0.0)
    twin = optdsl.load("adam", target=target)({"W": np.ones(33, np.float32)}, lr=0.0)
    for gradient in gradients:
        opt.step({"W": gradient})
        twin.step({"W": gradient.astype(np.float32)})
    for state in ("m", "v"):
        ours = opt.state["W"][state]
        assert ours.dtype == np.float32
        np.testing.assert_array_equal(ours, twin.state["W"][state])
        assert (ours != ours.astype(half).astype(np.float32)).any(), "a passage through 16 bits would show"


@half
@elsewhere("AI-Hypercomputer/maxtext#5143", "facebookresearch/fairscale#263", "NVIDIA-NeMo/Automodel#825")
def test_the_norm_of_16_bit_gradients_does_not_overflow(half: np.dtype[np.floating], target: str) -> None:
    """Clipping adds squares up in float64, at the first step of a process too: 5000 in float16 has a finite norm.

    5000 squared is past the largest float16; norms were infinite, and gradients zero.
    """
    x = np.zeros(16, half)
    Plain = optdsl.loads(f"rule Plain{half.name}(x, g)\nupdate\n  x' = x - g\n", target=target)
    Plain([x], clip_norm=1.0, nonfinite="raise").step([np.full(16, 5000.0).astype(half)])
    np.testing.assert_array_equal(x, np.full(16, -0.25).astype(half))


@elsewhere("TensorAuto/OpenTau#185")
def test_masters_are_part_of_a_checkpoint(target: str, tmp_path: Path) -> None:
    """A run with master weights that is saved and resumed ends with the bits of one that wasn't.

    Masters were made anew from the 16-bit weights at every resumption, and the digits between were gone.
    """
    AdamW = optdsl.load("adamw", target=target)
    gradients = [normal(9, seed=k).astype(BFLOAT16) for k in range(40)]
    whole, parts = np.ones(9, BFLOAT16), np.ones(9, BFLOAT16)
    uninterrupted, first = (AdamW({"W": x}, lr=1e-3, master_weights=True) for x in (whole, parts))
    for gradient in gradients:
        uninterrupted.step({"W": gradient})
    for gradient in gradients[:20]:
        first.step({"W": gradient})
    first.save(tmp_path / "a.safetensors")
    second = AdamW({"W": parts}, lr=1e-3, master_weights=True)
    second.load(tmp_path / "a.safetensors")
    for gradient in gradients[20:]:
        second.step({"W": gradient})
    assert parts.tobytes() == whole.tobytes()
    np.testing.assert_array_equal(second.state["W"]["master"], uninterrupted.state["W"]["master"])


BRIEF = "rule Brief(x, g)\nstate\n  m: bf16 = 0\nupdate\n  m' = ema(m, g, 0.5)\n  x' = x - m'\n"


@elsewhere("pytorch/torchtitan#4615")
def test_states_declared_narrow_stay_narrow(target: str, tmp_path: Path) -> None:
    """A state that a rule declares as bf16 is bf16 before and after a checkpoint, for parameters of any type.

    A loader made bfloat16 moments float32 because the parameters were; they took twice the memory, and were no longer
    rounded as they had been.
    """
    Brief = optdsl.loads(BRIEF, target=target)
    for dtype in (np.float32, BFLOAT16):
        opt, resumed = Brief({"W": np.ones(3, dtype)}), Brief({"W": np.ones(3, dtype)})
        opt.step({"W": np.ones(3, dtype)})
        assert opt.state["W"]["m"].dtype == BFLOAT16
        opt.save(tmp_path / "a.safetensors")
        resumed.load(tmp_path / "a.safetensors")
        assert resumed.state["W"]["m"].dtype == BFLOAT16
        np.testing.assert_array_equal(resumed.state["W"]["m"], opt.state["W"]["m"])


@elsewhere("TensorAuto/OpenTau#184", "facebookresearch/fairscale#50")
def test_rounded_moments_are_not_taken_for_whole_ones(target: str, tmp_path: Path) -> None:
    """Moments in bfloat16 are refused where float32 is kept; saved and loaded, those of a 16-bit parameter are exact.

    Moments of an older checkpoint, rounded to the parameter's 16 bits, were cast back to float32 without a word.
    """
    Adam = optdsl.load("adam", target=target)
    x = np.ones(9, np.float16)
    opt = Adam({"W": x})
    opt.step({"W": normal(9, dtype="float16")})
    opt.save(tmp_path / "a.safetensors")
    exact = Adam({"W": np.ones(9, np.float16)})
    exact.load(tmp_path / "a.safetensors")
    np.testing.assert_equal(exact.state_dict(), opt.state_dict())
    rounded = opt.state_dict()
    rounded["state"]["W"]["m"] = rounded["state"]["W"]["m"].astype(BFLOAT16)
    before = everything(opt, x)
    with pytest.raises(ValueError, match="'m' is bfloat16; expected float32"):
        opt.load_state_dict(rounded)
    assert everything(opt, x) == before
