"""The floor of a rule: the same arrays read and written as the rule's, and every byte of them touched."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from optdsl import pipeline
from optdsl.bench import floor
from optdsl.bench.streams import Pass, Streams, streams
from optdsl.ir.evaluate import defaults, present_states
from optdsl.loading import find
from optdsl.runtime import toolchain
from optdsl.show import moved_bytes, traffic
from optdsl.source import SourceFile, read

SINGLE = """\
rule Mixed(x, g)

hyper
  lr = 1e-3 in [0, inf)

state
  m: f32 = 0
  v      = 0
  last   = 0

update
  m' = lerp(m, g, 0.1)
  v' = lerp(v, g^2, 0.1)
  last' = g
  x' = x - lr*m'/(sqrt(v') + 1e-8)
"""
Words = npt.NDArray[np.unsignedinteger]
ALL = 2**64 - 1
"""The mask under which every bit that is written may change."""


@pytest.fixture
def compiler() -> None:
    """Skip where nothing can be compiled."""
    try:
        toolchain.find_compiler()
    except toolchain.ToolchainError:
        pytest.skip("no C compiler works here, and the floor is C")


def named(rule: str) -> SourceFile:
    return SourceFile("mixed.opt", SINGLE) if rule == "mixed" else read(find(rule))


@pytest.mark.parametrize("width", [4, 8])
@pytest.mark.parametrize(
    "name", ["adam", "momentum", "adamax", "sgd", "rprop", "lamb", "adamgc", "sgdp", "novograd", "mixed"]
)
def test_streams_are_those_of_the_compiled_rule(name: str, width: int) -> None:
    rule = pipeline.rule_of(named(name))
    found = streams(rule, width)
    usual = present_states(rule, defaults(rule))
    kernel = next(kernel for kernel in pipeline.kernels(rule).kernels if kernel.present == usual)
    reads, writes = traffic(kernel)
    passes = found.passes
    assert sorted(found.names[i] for one in passes for i in (*one.read, *one.both)) == sorted(reads)
    assert sorted(found.names[i] for one in passes for i in (*one.write, *one.both)) == sorted(writes)
    assert found.moved == moved_bytes(kernel, width)
    assert len(passes) == len(kernel.phases)


def test_streams_of_adam_momentum_and_a_rule_with_a_state_of_float32() -> None:
    adam, momentum, mixed = (streams(pipeline.rule_of(named(name)), 8) for name in ("adam", "momentum", "mixed"))
    assert adam == Streams(("x", "g", "m", "v"), (8, 8, 8, 8), (Pass((1,), (0, 2, 3), ()),), whole=False)
    assert momentum.passes == (Pass((1,), (0, 2), ()),)
    assert mixed.widths == (8, 8, 4, 8, 8)
    assert mixed.passes == (Pass((1,), (0, 2, 3), (4,)),)
    assert mixed.moved == 6 * 8 + 2 * 4
    assert (adam.held, mixed.held) == (32, 36)


def test_a_reduction_over_the_tensor_parts_passes_and_one_over_rows_does_not() -> None:
    lamb, centralized = (streams(pipeline.rule_of(named(name))) for name in ("lamb", "adamgc"))
    assert (len(lamb.passes), lamb.whole) == (2, True)
    assert (len(centralized.passes), centralized.whole) == (2, False)
    assert centralized.passes[0] == Pass((1,), (), ())


def drawn(found: Streams, counts: list[int]) -> list[list[Words]]:
    draw = np.random.default_rng(1)
    types = {4: np.uint32, 8: np.uint64}
    return [
        [draw.integers(1, 2**32, count, dtype=np.uint64).astype(types[width]) for width in found.widths]
        for count in counts
    ]


def moved(found: Streams, arrays: list[Words]) -> list[Words]:
    """Return what a step of the floor makes of a tensor's arrays, pass by pass."""
    values = [array.astype(np.uint64) for array in arrays]
    masks = [np.uint64(2 ** (8 * width) - 1) for width in found.widths]
    for one in found.passes:
        mixed = np.bitwise_xor.reduce([values[i] for i in one.read]) if one.read else np.full(1, 1, np.uint64)
        for i in one.both:
            values[i] = (values[i] ^ mixed) & masks[i]
        for i in one.write:
            values[i] = np.broadcast_to(mixed & masks[i], values[i].shape)
    return [value.astype(array.dtype) for value, array in zip(values, arrays, strict=True)]


MANY_KINDS = [1, 0, 17, 65_536, 65_537, 300_001, 3, 600_000, 64]
ON_THE_SPLIT = [65_536] * 8


@pytest.mark.usefixtures("compiler")
@pytest.mark.parametrize("counts", [MANY_KINDS, ON_THE_SPLIT], ids=["many kinds", "on the split"])
@pytest.mark.parametrize("threads", ["1", "2", "3"])
@pytest.mark.parametrize("name", ["adam", "momentum", "rprop", "lamb", "adamgc", "mixed"])
def test_every_element_is_moved_once_a_step(
    name: str, threads: str, counts: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPTDSL_NUM_THREADS", threads)
    found = streams(pipeline.rule_of(named(name)), 8)
    tensors = drawn(found, counts)
    expected = [moved(found, arrays) for arrays in tensors]
    floor.stepper(found, tensors, ALL)()
    for arrays, after in zip(tensors, expected, strict=True):
        for array, wanted in zip(arrays, after, strict=True):
            np.testing.assert_array_equal(array, wanted)


@pytest.mark.usefixtures("compiler")
@pytest.mark.parametrize(
    "one", [Pass((0, 1), (), ()), Pass((0,), (), (1,)), Pass((), (0, 1), ()), Pass((), (), (0,))], ids=str
)
def test_any_pass_can_be_printed(one: Pass) -> None:
    found = Streams(("x", "g"), (4, 8), (one,), whole=False)
    tensors = drawn(found, [1000])
    expected = moved(found, tensors[0])
    floor.stepper(found, tensors, ALL)()
    for array, wanted in zip(tensors[0], expected, strict=True):
        np.testing.assert_array_equal(array, wanted)


@pytest.mark.usefixtures("compiler")
def test_what_is_only_read_is_read() -> None:
    """The exclusive or of all that is read comes back, so that no compiler may leave the reading out."""
    found = Streams(("x", "g"), (4, 4), (Pass((1,), (), ()),), whole=True)
    tensors = drawn(found, [5, 70_000, 400_000])
    expected = np.bitwise_xor.reduce(np.concatenate([arrays[1] for arrays in tensors]))
    assert floor.stepper(found, tensors, ALL)() == int(expected)


@pytest.mark.usefixtures("compiler")
def test_arrays_stay_as_they_are() -> None:
    found = streams(pipeline.rule_of(named("adam")))
    tensors = drawn(found, MANY_KINDS)
    before = [[array.copy() for array in arrays] for arrays in tensors]
    floor.stepper(found, tensors)()
    for arrays, olds in zip(tensors, before, strict=True):
        assert [array.tobytes() for array in arrays] == [old.tobytes() for old in olds]


@pytest.mark.usefixtures("compiler")
def test_the_loops_are_vectorised(tmp_path: pytest.TempPathFactory) -> None:
    import subprocess
    from pathlib import Path

    compiler = toolchain.find_compiler()
    if "gcc" not in compiler.version.lower() and not compiler.version.startswith("cc "):
        pytest.skip("only gcc's remarks are read")
    source = Path(str(tmp_path)) / "floor.c"
    source.write_text(floor.text(streams(pipeline.rule_of(named("lamb")))), encoding="utf-8")
    command = [*compiler.command, *toolchain.FLAGS, "-fopt-info-vec", "-o", str(source.with_suffix(".so")), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = source.read_text(encoding="utf-8").splitlines()
    loops = [number for number, line in enumerate(lines, 1) if "i < hi - lo" in line]
    assert len(loops) == 2
    for number in loops:
        assert f"floor.c:{number}:" in done.stderr
