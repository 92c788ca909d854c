"""Where a library differs from what its name says, on purpose or not, and what is done about it here.

Each entry names the thread it is known by. Rules that no library can be asked about are listed too, with the reason.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Difference:
    """One difference between a library and the rule of the same name here."""

    library: str
    what: str
    known: str
    """The thread it is known by; empty where none was found, and it was measured or read in the source."""
    here: str
    """What the rules here do."""


DIFFERENCES = (
    Difference(
        "torch",
        "The step counter is a float32 tensor, which adding one no longer changes from 2^24 = 16,777,216 on.",
        "https://github.com/pytorch/pytorch/pull/173901",
        "Step counts are exact integers.",
    ),
    Difference(
        "torch",
        "NAdam's running product and ASGD's step size are kept in the default dtype, float32 even for float64"
        " parameters.",
        "https://github.com/pytorch/pytorch/issues/110940",
        "Scalar states are float64. torch runs with a default dtype of float64 here; otherwise the paths lie up to 1e-5"
        " apart.",
    ),
    Difference(
        "optax",
        "`rprop` applies the update of the step before: its first step moves nothing.",
        "https://github.com/google-deepmind/optax/pull/1725",
        "`rprop` is torch's.",
    ),
    Difference(
        "optax",
        "`adan` weighs the change of the gradient by 1 - b2 where the paper has b2.",
        "https://github.com/google-deepmind/optax/pull/1715",
        "`adan` is the authors'.",
    ),
    Difference(
        "optax",
        "`amsgrad` takes the maximum after the bias correction, so that the first steps' estimate dominates.",
        "https://github.com/google-deepmind/optax/issues/1389",
        "`amsgrad` takes it before, as torch and Keras do.",
    ),
    Difference(
        "optax",
        "`adadelta()` with its default `learning_rate=None` climbs: nothing turns the sign of the update.",
        "https://github.com/google-deepmind/optax/issues/1242",
        "`adadelta` descends; the thread is of the crash that came before.",
    ),
    Difference(
        "Optimisers.jl",
        "`Lion` has the weights of its running mean exchanged, so that most steps are the gradient's sign alone.",
        "https://github.com/FluxML/Optimisers.jl/pull/129",
        "`lion` is the paper's.",
    ),
    Difference(
        "Keras",
        "`Adam` and its kin add epsilon to the root before it is corrected, so that epsilon counts for more at first.",
        "",
        "`adam` adds it after, as the paper's algorithm does.",
    ),
    Difference(
        "pytorch_optimizer",
        "`SGDW`, `SignSGD` and `Tiger` step otherwise with `foreach`, which is the default, than without.",
        "https://github.com/kozistr/pytorch_optimizer/issues/519",
        "Compared with `foreach=False`.",
    ),
    Difference(
        "pytorch_optimizer",
        "A fixed 1e-15 stands under the root of the second moment, beside the eps that can be chosen.",
        "",
        "Only eps is added. The paths of AdaBound, AdaPNM, DiffGrad and AdaNorm lie up to 1e-10 apart for it.",
    ),
    Difference(
        "timm, pytorch_optimizer, schedulefree",
        "Some optimizers count steps by group, so that a parameter without a gradient is a step older.",
        "https://github.com/deepspeedai/DeepSpeed/pull/8471",
        "A parameter counts its own steps. The libraries run with an optimizer for each parameter; the thread is of the"
        " same fault in DeepSpeed.",
    ),
    Difference(
        "DeepSpeed",
        "`Lion` on the CPU takes the sign of an exact zero for 1 or -1: copysign in its source, which was not run.",
        "",
        "sign(0) = 0.",
    ),
)

UNCOMPARED: dict[str, str] = {
    "sgdgc": "No installed library centralises the gradients of SGD. A test holds it to SGD on centralised gradients.",
}
"""Bundled rules that stand in no row, and why."""
