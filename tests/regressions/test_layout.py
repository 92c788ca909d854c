"""Strides, sizes and sharing: a step does the same for the same numbers, however they lie in memory."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import optdsl
from optdsl import bundled, pipeline
from optdsl.runtime import toolchain
from optdsl.source import SourceFile

from .elsewhere import elsewhere
from .support import Array, everything, normal

LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "transposed": lambda a: np.ascontiguousarray(a.T).T,
    "every second": lambda a: np.repeat(a, 2, axis=1)[:, ::2],
    "reversed": lambda a: np.ascontiguousarray(a[::-1, ::-1])[::-1, ::-1],
    "a column of a chunk": lambda a: np.concatenate([a, a], axis=1)[:, a.shape[1] :],
}
"""Copies of a matrix with the same numbers that lie otherwise."""


def steps(rule: str, target: str, x: Array, gradients: list[Array]) -> None:
    opt = optdsl.load(rule, target=target)([x], lr=0.1)
    for gradient in gradients:
        opt.step([gradient])


@pytest.mark.parametrize("layout", LAYOUTS)
@elsewhere("bitsandbytes-foundation/bitsandbytes#1185")
def test_arrays_that_are_not_contiguous_are_stepped_right(
    layout: str, target: str, dtype: np.dtype[np.floating]
) -> None:
    """Parameters and gradients of any strides end with the bits of contiguous copies.

    Kernels read memory in a row whatever the strides; a gradient that was a chunk of another moved the wrong weights.
    """
    gradients = [normal(6, 8, seed=k, dtype=dtype.name) for k in range(1, 4)]
    expected = normal(6, 8, dtype=dtype.name)
    steps("adam", target, expected, gradients)
    lay = LAYOUTS[layout]
    both, parameter, gradient = lay(normal(6, 8, dtype=dtype.name)), lay(normal(6, 8, dtype=dtype.name)), None
    gradient = normal(6, 8, dtype=dtype.name)
    assert not both.flags.c_contiguous
    steps("adam", target, both, [lay(g) for g in gradients])
    steps("adam", target, parameter, gradients)
    steps("adam", target, gradient, [lay(g) for g in gradients])
    for ours in (both, parameter, gradient):
        np.testing.assert_array_equal(ours, expected)


@elsewhere("pytorch/pytorch#106951")
def test_strides_of_an_axis_of_one_do_not_matter(target: str) -> None:
    """An axis of length 1 may have any stride; a gradient that differs from its parameter in it alone is accepted.

    A fused kernel refused gradients whose strides differed from the parameter's along an axis of one element, where
    strides mean nothing.
    """
    odd = np.lib.stride_tricks.as_strided(normal(2, 100, seed=1), (2, 1, 100), (800, 8, 8))
    assert odd.strides != normal(2, 1, 100).strides
    expected, ours, ours_too = (normal(2, 1, 100) for _ in range(3))
    steps("adam", target, expected, [np.ascontiguousarray(odd)])
    steps("adam", target, ours, [odd])
    np.testing.assert_array_equal(ours, expected)
    parameter = np.lib.stride_tricks.as_strided(ours_too, (2, 1, 100), (800, 8, 8))
    steps("adam", target, parameter, [odd])
    np.testing.assert_array_equal(parameter, expected)


@elsewhere("pytorch/pytorch#42364", "pytorch/pytorch#45469")
def test_the_maximum_of_adamax_takes_any_strides(target: str) -> None:
    """Rules with maxima step arrays whose last axis isn't the innermost one.

    Adamax stopped with an error about strides after a release, for parameters that lay with their channels last.
    """
    channels_last = np.ascontiguousarray(normal(2, 5, 4, 3)).transpose(0, 3, 1, 2)
    expected = channels_last.copy()
    assert not channels_last.flags.c_contiguous
    gradients = [normal(2, 5, 4, 3, seed=k).transpose(0, 3, 1, 2) for k in range(1, 4)]
    steps("adamax", target, expected, [np.ascontiguousarray(g) for g in gradients])
    steps("adamax", target, channels_last, gradients)
    np.testing.assert_array_equal(channels_last, expected)


@elsewhere("geoopt/geoopt#70")
def test_a_step_leaves_an_array_where_it_lies(target: str) -> None:
    """Memory, strides and flags of a parameter are after a step what they were before.

    A step gave a weight other strides, and the layer that owned it refused to go on.
    """
    base = normal(12, 8)
    x = base.T[::2]
    before = (x.__array_interface__["data"], x.strides, str(x.flags), x.base is base)
    steps("adam", target, x, [normal(4, 12, seed=1), normal(4, 12, seed=2)])
    assert (x.__array_interface__["data"], x.strides, str(x.flags), x.base is base) == before
    assert (base[:, 1::2] == normal(12, 8)[:, 1::2]).all()
    assert (base[:, ::2] != normal(12, 8)[:, ::2]).all()


def check_beside_empty_ones(target: str, shapes: list[tuple[int, ...]]) -> None:
    """Step parameters together, and compare each with the same one stepped by itself."""
    together = [np.ones(shape) for shape in shapes]
    opt = optdsl.load("adam", target=target)(together, lr=0.1)
    for k in range(3):
        opt.step([np.full(shape, 1.0 + k) for shape in shapes])
    alone = np.ones(1)
    steps("adam", target, alone, [np.full(1, 1.0 + k) for k in range(3)])
    for parameter in together:
        np.testing.assert_array_equal(parameter, np.full(parameter.shape, alone[0]))


@elsewhere("pytorch/pytorch#100701")
def test_an_empty_array_between_others_keeps_none_from_moving(target: str) -> None:
    """Parameters before, between and after arrays without elements are stepped.

    Where an empty tensor stood between others, those around it weren't updated.
    """
    check_beside_empty_ones(target, [(1,), (1,), (0,), (1,), (0,)])


@elsewhere("NVIDIA/TransformerEngine#3207")
def test_an_empty_array_at_the_end_keeps_none_from_moving(target: str) -> None:
    """A list of parameters may end with, or be nothing but, arrays without elements.

    Work that was gathered for earlier tensors wasn't started where the last one of a group was empty.
    """
    check_beside_empty_ones(target, [(300,), (2, 3), (0, 5)])
    check_beside_empty_ones(target, [(0,)])


@elsewhere("pytorch/pytorch#94865")
def test_a_thousand_empty_arrays_are_no_trouble(target: str) -> None:
    """Any number of arrays without elements may be stepped beside others.

    Each empty tensor took a place in a table of fixed size that only others gave back, and the stack was overwritten.
    """
    check_beside_empty_ones(target, [(0,)] * 1000 + [(3,)] + [(0, 2)] * 500)


@elsewhere("candle-org/candle#322", "pytorch/pytorch#96776")
def test_a_parameter_without_axes_is_stepped(target: str) -> None:
    """A 0-d array is a parameter of one element, with momentum too; its states are 0-d.

    A kernel sliced its buffer, which a 0-d array doesn't allow; another divided it in place by a 1-d array.
    """
    x, line = np.array(2.0), np.array([2.0])
    opt = optdsl.load("sgd", target=target)([x], lr=0.1, momentum=0.9)
    twin = optdsl.load("sgd", target=target)([line], lr=0.1, momentum=0.9)
    for k in range(3):
        opt.step([np.array(1.0 + k)])
        twin.step([np.array([1.0 + k])])
    assert x.shape == opt.state["0"]["b"].shape == ()
    assert x == line[0]
    assert x < 2.0


@elsewhere("hpcaitech/ColossalAI#633")
def test_every_element_of_every_axis_is_stepped(target: str) -> None:
    """All elements are stepped, whatever the number of axes.

    A kernel was given the length of the first axis for the number of elements; tests had vectors only.
    """
    for shape in ((7,), (3, 5), (2, 3, 4), (1, 2, 3, 4, 5), (4, 1, 1)):
        x = np.ones(shape)
        steps("adam", target, x, [np.ones(shape)])
        np.testing.assert_allclose(x, 0.9, rtol=1e-6)


@elsewhere("deepspeedai/DeepSpeed#7640", "NVIDIA/TransformerEngine#3136", "PaddlePaddle/Paddle#62461")
def test_generated_code_counts_elements_in_64_bits(both_targets: None, tmp_path: Path) -> None:
    """In generated C no count of elements becomes narrower than 64 bits, and no narrower index runs up to one.

    Sizes went through 32-bit integers; tensors of 2^31 elements and more weren't updated, and no error said so.
    """
    path = bundled.path("lamb")
    assert path is not None
    rule = pipeline.rule_of(SourceFile("lamb.opt", path.read_text(encoding="utf-8")))
    code = pipeline.emit(rule, "c", "lamb")["lamb.c"]
    assert narrowed(code, tmp_path) == []
    assert "for (int64_t i" in code
    assert narrowed(code.replace("for (int64_t i", "for (int i"), tmp_path) != []
    assert narrowed(f"{code}\nint cut(int64_t n) {{ int m = n; return m; }}\n", tmp_path) != []


def narrowed(code: str, folder: Path) -> list[str]:
    """Return where a compiler sees an integer cut to 32 bits, and 32-bit indices that are compared with a variable."""
    (folder / "narrow.c").write_text(code, encoding="utf-8")
    command = [*toolchain.find_compiler().command, "-std=c11", "-fsyntax-only", "-Wconversion", "narrow.c"]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"}
    )
    assert done.returncode == 0, done.stderr
    cut = re.compile(
        r"conversion from '(?:int64_t|long int|long long int|size_t)[^']*'.* to '(?:int|unsigned int|u?int32_t)"
    )
    loop = re.compile(r"for \((?:unsigned |u?int32_t |int )\s*(\w+)[^;]*;[^;]*\b\1\b\s*<=?\s*[a-z]\w*")
    return [line for line in done.stderr.splitlines() if cut.search(line)] + [m[0] for m in loop.finditer(code)]


@elsewhere("pytorch/pytorch#40967", "tinygrad/tinygrad#1047")
def test_one_array_given_twice_is_refused(target: str) -> None:
    """The same array, or overlapping ones, in one optimizer is an error that names both, within a group and across.

    A parameter listed twice in one group was stepped twice, while two groups made it an error; elsewhere it kept models
    from learning at all.
    """
    Adam = optdsl.load("adam", target=target)
    x = np.ones(4)
    for params in ([x, x], [{"params": [x]}, {"params": [x]}], {"a": x, "b": x}):
        with pytest.raises(ValueError, match="the same array and would be stepped twice"):
            Adam(params)
    with pytest.raises(ValueError, match="'tied'"):
        Adam({"W": x, "tied": x[1:]})
    W, tied = np.ones(4), np.ones(4)
    opt = Adam({"W": W, "tied": tied})
    opt.step({"W": np.ones(4), "tied": np.ones(4)})
    before = everything(opt, W, tied)
    with pytest.raises(ValueError, match="'W'"):
        opt.add_param_group({"params": {"again": W}})
    assert everything(opt, W, tied) == before
    np.testing.assert_array_equal(W, tied)


@elsewhere("deepspeedai/DeepSpeed#1643")
def test_several_large_parameters_do_not_disturb_each_other(target: str) -> None:
    """Several parameters, large and small ones, end with the bits of each stepped by itself.

    With two parameters of a million elements one optimizer's step left wrong numbers, or failed on the device.
    """
    shapes = [(1 << 19,), (3,), (700, 1000), (1,)]
    together = [normal(*shape, seed=k, dtype="float32") for k, shape in enumerate(shapes)]
    gradients = [
        [normal(*shape, seed=90 + 10 * s + k, dtype="float32") for k, shape in enumerate(shapes)] for s in range(2)
    ]
    opt = optdsl.load("adam", target=target)(together)
    for step in gradients:
        opt.step(step)
    for k, shape in enumerate(shapes):
        alone = normal(*shape, seed=k, dtype="float32")
        single = optdsl.load("adam", target=target)([alone])
        for step in gradients:
            single.step([step[k]])
        np.testing.assert_array_equal(together[k], alone)
