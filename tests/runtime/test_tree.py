"""Parameters in every form, their names, and gradients matched to them."""

from __future__ import annotations

from collections import OrderedDict, namedtuple
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import numpy as np
import optree
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optdsl.runtime.parameter import Parameter
from optdsl.runtime.tree import flatten, is_closure, match, match_groups, split_groups

A, B, C = (np.full(n, float(n)) for n in (1, 2, 3))


@dataclass
class Layer:
    W: Any
    b: Any


class Pair(NamedTuple):
    first: Any
    second: Any


class Box:
    def __init__(self, *items: Any) -> None:
        self.items = items


registry: Any = optree.registry
optree.register_pytree_node(
    cast("Any", Box),
    lambda box: (cast("Any", box).items, None, tuple(f"part{i}" for i in range(len(cast("Any", box).items)))),
    lambda _, items: cast("Any", Box(*items)),
    namespace=vars(registry)["__GLOBAL_NAMESPACE"],
)


def names(params: Any, start: int = 0) -> list[str]:
    return [entry.name for entry in flatten(params, start).entries]


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        (A, ["0"]),
        ([A, B], ["0", "1"]),
        ((A, B), ["0", "1"]),
        ({"W": A, "b": B}, ["W", "b"]),
        (OrderedDict(b=B, W=A), ["b", "W"]),
        ({"layers": [{"W": A, "b": B}, {"W": C}]}, ["layers.0.W", "layers.0.b", "layers.1.W"]),
        ([[A, B], [C]], ["0.0", "0.1", "1.0"]),
        (Layer(A, B), ["W", "b"]),
        (Layer(A, None), ["W"]),
        ({"net": Pair(A, [B, C])}, ["net.first", "net.second.0", "net.second.1"]),
        ({"box": Box(A, B)}, ["box.part0", "box.part1"]),
        ([Parameter(A), B], ["0", "1"]),
        ([("W", A), ("b", B)], ["W", "b"]),
        ({1: A, 2: B}, ["1", "2"]),
    ],
)
def test_names_follow_the_structure(params: Any, expected: list[str]) -> None:
    assert names(params) == expected


def test_a_generator_is_read_once() -> None:
    assert names(array for array in (A, B)) == ["0", "1"]
    assert names({"W": A}.items()) == ["W"]


def test_positions_count_on_from_a_start() -> None:
    assert names([A, [B, C]], 2) == ["2", "3.0", "3.1"]
    assert names(A, 2) == ["2"]


@pytest.mark.parametrize("params", [{1: A, "1": B}, {"a.b": A, "a": {"b": B}}, [("W", A), ("W", B)]])
def test_two_parameters_of_one_name_are_refused(params: Any) -> None:
    with pytest.raises(ValueError, match="two parameters are called"):
        flatten(params)


@pytest.mark.parametrize("params", [{1, 2}, frozenset({1}), [{1}]])
def test_sets_have_no_order_and_are_refused(params: Any) -> None:
    with pytest.raises(TypeError, match="no order"):
        flatten(params)


def test_pairs_and_plain_arrays_do_not_mix() -> None:
    with pytest.raises(ValueError, match="pairs"):
        flatten([("W", A), B])


def test_a_structure_within_itself_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(ValueError, match="contain themselves"):
        flatten(endless)


def test_groups_are_told_from_nested_mappings() -> None:
    groups = [{"params": [A], "lr": 1.0}, {"params": B}]
    assert split_groups(groups) == groups
    assert split_groups([{"W": A}, {"W": B}]) is None
    with pytest.raises(TypeError, match="others aren't"):
        split_groups([{"params": A}, {"W": B}])


@pytest.mark.parametrize(
    ("params", "gradients", "expected"),
    [
        (A, 1, [1]),
        ([A, B], (1, 2), [1, 2]),
        ([A, B], [None, 2], [None, 2]),
        ({"W": A, "b": B}, {"b": 2, "W": 1}, [1, 2]),
        ({"W": A, "n": [B, C]}, {"W": 1, "n": None}, [1, None, None]),
        (Layer(A, B), Layer(1, 2), [1, 2]),
        (Layer(A, B), {"b": 2, "W": 1}, [1, 2]),
        (Layer(A, None), Layer(1, None), [1]),
        ({"W": A, "b": None}, {"W": 1}, [1]),
        (Pair(A, B), Pair(1, 2), [1, 2]),
        (Box(A, B), Box(1, 2), [1, 2]),
        ([("W", A), ("b", B)], [("b", 2), ("W", 1)], [1, 2]),
        ([("W", A), ("b", B)], {"b": 2, "W": 1}, [1, 2]),
    ],
)
def test_gradients_are_matched(params: Any, gradients: Any, expected: list[Any]) -> None:
    assert match(flatten(params).node, gradients) == expected


def test_gradients_may_come_from_a_generator() -> None:
    assert match(flatten([A, B]).node, (i for i in (1, 2))) == [1, 2]


@pytest.mark.parametrize(
    ("params", "gradients", "message"),
    [
        ([A, B], [1], "expected 2 .'0', '1'., got 1"),
        ([A, B], [1, 2, 3], "got 3"),
        ([A, B], A, "in a list"),
        ([A, B], {"0": 1, "1": 2}, "in a list"),
        ({"W": A, "b": B}, [1, 2], "expected a mapping"),
        ({"weight": A, "b": B}, {"wieght": 1, "b": 2}, "no parameter 'wieght'; did you mean 'weight'"),
        ({"W": A, "b": B}, {"W": 1}, "'b' missing; None says"),
        ({"n": {"W": A}}, {"n": {}}, "'n.W' missing"),
        ({"n": [A, B]}, {"n": [1]}, "gradients of 'n': expected 2"),
        (Layer(A, B), Pair(1, 2), "expected a Layer"),
        (Box(A, B), Box(1), "expected a Box"),
        (Layer(A, None), Layer(1, 2), "is None"),
    ],
)
def test_a_different_structure_is_named(params: Any, gradients: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        match(flatten(params).node, gradients)


def test_gradients_of_groups() -> None:
    nodes = [flatten([A, B]).node, flatten({"W": C}).node]
    assert match_groups(nodes, [[A, B], {"W": C}]) == [A, B, C]
    assert match_groups(nodes, [A, None, C]) == [A, None, C]
    assert match_groups(nodes, {"W": C, "0": A, "1": None}) == [A, None, C]
    assert match_groups(nodes, [None, {"W": C}]) == [None, None, C]
    with pytest.raises(ValueError, match=r"expected 3, one for each parameter .* or 2, one structure"):
        match_groups(nodes, [A])
    with pytest.raises(ValueError, match="expected a list of 3"):
        match_groups(nodes, A)


def test_a_callable_model_is_no_closure() -> None:
    @dataclass
    class Model(Layer):
        def __call__(self) -> float:
            return 0.0

    class CallableBox(Box):
        def __call__(self) -> float:
            return 0.0

    optree.register_pytree_node(
        cast("Any", CallableBox),
        lambda box: (cast("Any", box).items, None, None),
        lambda _, items: cast("Any", CallableBox(*items)),
        namespace=vars(registry)["__GLOBAL_NAMESPACE"],
    )
    assert not is_closure(Model(A, B))
    assert not is_closure(CallableBox(A, B))
    assert not is_closure(A)
    assert is_closure(lambda: 0.0)


def trees() -> st.SearchStrategy[Any]:
    leaves = st.builds(lambda: np.zeros(1))
    keys = st.text("abc", min_size=1, max_size=3)

    def grow(tree: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        return st.lists(tree, max_size=3) | st.dictionaries(keys, tree, max_size=3)

    return st.recursive(leaves, grow, max_leaves=12)


@given(trees())
def test_a_structure_matches_itself(tree: Any) -> None:
    flat = flatten(tree)
    assert [id(g) for g in match(flat.node, tree)] == [id(entry.value) for entry in flat.entries]
    assert flat.node.leaves == tuple(entry.name for entry in flat.entries)
    assert len(set(flat.node.leaves)) == len(flat.entries)


def test_an_unregistered_class_is_a_leaf() -> None:
    thing = namedtuple("thing", "a")(A)
    assert names(thing) == ["a"]
    assert names(object()) == ["0"]
