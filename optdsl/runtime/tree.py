"""Parameters in every form a caller may hold them, as a flat list of named leaves, and gradients matched to them.

A structure is made of mappings, lists, tuples, named tuples, dataclass instances, other iterables (read once), nodes
registered with optree, and None, which holds nothing. Everything else is a leaf. Leaves are named by the way to them,
joined with ".": mapping keys, field names, and positions in a sequence.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from optdsl.runtime.parameter import Parameter
from optdsl.runtime.wording import kind, listing, suggestion

DEPTH = 200
"""Levels of nesting accepted; a structure that contains itself has no end."""

Kind = Literal["leaf", "nothing", "sequence", "mapping", "pairs", "fields", "node"]


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """The shape of a structure, without its arrays: enough to find the leaves of another structure of that shape.

    `flat` says that every child is a leaf, so that what a structure is taken apart into needn't be looked at again.
    """

    kind: Kind
    name: str
    keys: tuple[Any, ...] = ()
    children: tuple[Node, ...] = ()
    type: type | None = None
    leaves: tuple[str, ...] = ()
    flat: bool = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "flat", all(child.kind == "leaf" for child in self.children))


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """A leaf as the caller gave it: an array or a `Parameter`, not yet checked."""

    name: str
    value: Any


@dataclass(frozen=True, slots=True, eq=False)
class Flat:
    """A structure taken apart. `positions` counts the entries of an unnamed outermost sequence."""

    node: Node
    entries: tuple[Entry, ...]
    positions: int


Opened = tuple[Kind, tuple[Any, ...], list[Any]]


def _registered(value: object) -> Opened | None:
    """Take apart a node registered with optree (globally); None where it isn't one.

    Nothing can be registered before optree is imported, so looking never imports it.
    """
    optree = sys.modules.get("optree")
    if optree is None:
        return None
    entry = optree.register_pytree_node.get(type(value))
    if entry is None or entry.kind != optree.PyTreeKind.CUSTOM:
        return None
    flat = optree.tree_flatten_one_level(value, none_is_leaf=True)
    return "node", tuple(flat.entries), list(flat.children)


def _open(value: Any, name: str) -> Opened | None:
    """Return kind, keys and children of a structure; None for a leaf."""
    if isinstance(value, (np.ndarray, Parameter, str, bytes, bytearray)) or hasattr(value, "__array__"):
        return None
    if value is None:
        return "nothing", (), []
    if isinstance(value, (set, frozenset)):
        where = f"{name!r} is" if name else "parameters are"
        raise TypeError(
            f"{where} {kind(value)}, which has no order to name arrays by; pass a list or a mapping of names"
        )
    opened = _registered(value)
    if opened is not None:
        return opened
    if isinstance(value, Mapping):
        return "mapping", tuple(value.keys()), list(value.values())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = tuple(field.name for field in dataclasses.fields(value))
        return "fields", fields, [getattr(value, field) for field in fields]
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return "fields", tuple(value._fields), list(value)
    if isinstance(value, Iterable):
        items = list(value)
        return "sequence", tuple(range(len(items))), items
    return None


def _join(name: str, key: object) -> str:
    return f"{name}.{key}" if name else str(key)


def _grow(value: Any, name: str, entries: list[Entry], depth: int, opened: Opened | None, start: int = 0) -> Node:
    """Add the leaves of a structure to `entries` and return its shape."""
    if opened is None:
        entries.append(Entry(name or str(start), value))
        return Node("leaf", name or str(start), leaves=(name or str(start),))
    if depth > DEPTH:
        raise ValueError(f"parameters are nested more than {DEPTH} deep at {name[:40]!r}…; do they contain themselves?")
    form, keys, values = opened
    before = len(entries)
    children = []
    for key, child in zip(keys, values, strict=True):
        path = _join(name, key + start if form == "sequence" else key)
        children.append(_grow(child, path, entries, depth + 1, _open(child, path)))
    names = tuple(entry.name for entry in entries[before:])
    return Node(form, name, keys, tuple(children), type(value), names)


def _named_pairs(opened: Opened) -> Opened:
    """Read a sequence of (name, array) pairs, torch's `named_parameters()`, as names; else return it unchanged."""
    form, _, items = opened
    if form != "sequence":
        return opened
    named = [isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], str) for item in items]
    if not any(named):
        return opened
    if not all(named):
        raise ValueError("parameters: either all are (name, array) pairs or none is")
    return "pairs", tuple(item[0] for item in items), [item[1] for item in items]


def flatten(params: Any, start: int = 0) -> Flat:
    """Take parameters apart.

    Args:
        params: One array or `Parameter`, or any structure of them.
        start: The number of the first entry of an unnamed outermost sequence, or of a single array.

    Raises:
        TypeError: A set, which has no order.
        ValueError: Two leaves of one name, or a structure nested without end.
    """
    opened = _open(params, "")
    if opened is not None:
        opened = _named_pairs(opened)
    entries: list[Entry] = []
    node = _grow(params, "", entries, 0, opened, start)
    counted = {"leaf": 1, "sequence": len(node.children)}
    check_names(entries)
    return Flat(node, tuple(entries), counted.get(node.kind, 0))


def check_names(entries: Iterable[Entry], taken: Iterable[str] = ()) -> None:
    """Raise ValueError if two entries, or an entry and a name already taken, share a name."""
    seen = set(taken)
    for entry in entries:
        if entry.name in seen:
            raise ValueError(f"two parameters are called {entry.name!r}; give each its own name")
        seen.add(entry.name)


def split_groups(params: Any) -> list[Mapping[str, Any]] | None:
    """Return the group mappings of `[{"params": …, "lr": …}, …]`; None where `params` is one structure.

    An iterator must be read by the caller first. Raises TypeError if only some items are groups.
    """
    if not isinstance(params, (list, tuple)) or hasattr(params, "_fields"):
        return None
    groups = [item for item in params if isinstance(item, Mapping) and "params" in item]
    if not groups:
        return None
    if len(groups) != len(params):
        raise TypeError(
            "parameters: some items are groups with a 'params' entry and others aren't; make all of them groups"
        )
    return groups


def materialise(params: Any) -> Any:
    """Return `params`, an iterator read into a list."""
    return list(params) if isinstance(params, Iterator) else params


def is_gradient(value: object) -> bool:
    """Return whether a value stands for one gradient: an array, or None for none."""
    return value is None or isinstance(value, np.ndarray) or hasattr(value, "__array__")


def is_closure(value: object) -> bool:
    """Return whether a value is a function to call, and no structure of gradients: a model may be callable as well."""
    if not callable(value) or isinstance(value, Mapping) or is_gradient(value):
        return False
    return not dataclasses.is_dataclass(value) and _registered(value) is None


def _described(node: Node) -> str:
    return f"gradients of {node.name!r}" if node.name else "gradients"


def _key_complaint(node: Node, given: Mapping[Any, Any]) -> str:
    """Return what is unknown, or else missing, in a mapping of gradients."""
    known = set(node.keys)
    for key in given:
        if key not in known:
            near = suggestion(key, [str(each) for each in node.keys])
            return f"{_described(node)}: no parameter {_join(node.name, key)!r}{near}"
    missing = [_join(node.name, key) for key in node.keys if key not in given]
    return f"{_described(node)}: {listing(missing)} missing; None says that there is no gradient"


def _by_key(node: Node, gradients: Mapping[Any, Any]) -> list[Any]:
    if len(gradients) == len(node.keys) and all(key in gradients for key in node.keys):
        return [gradients[key] for key in node.keys]
    # A part that holds nothing needn't be mentioned.
    empty = {key: None for key, child in zip(node.keys, node.children, strict=False) if child.kind == "nothing"}
    if empty and not empty.keys() <= gradients.keys():
        return _by_key(node, {**empty, **gradients})
    raise ValueError(_key_complaint(node, gradients))


def _in_order(node: Node, gradients: Any) -> list[Any]:
    if is_gradient(gradients) or isinstance(gradients, (Mapping, str, bytes)) or not isinstance(gradients, Iterable):
        raise ValueError(
            f"{_described(node)}: expected {len(node.children)} in a list, as the parameters are, got {kind(gradients)}"
        )
    items = list(gradients)
    if len(items) != len(node.children):
        expected = f"{len(node.children)} ({listing(child.name for child in node.children)})"
        raise ValueError(f"{_described(node)}: expected {expected}, got {len(items)}")
    return items


def _parts(node: Node, gradients: Any) -> list[Any]:
    """Return the gradients of a node's children."""
    if node.kind == "mapping":
        if not isinstance(gradients, Mapping):
            raise ValueError(f"{_described(node)}: expected a mapping from {listing(node.keys)}, got {kind(gradients)}")
        return _by_key(node, gradients)
    if node.kind == "pairs":
        if isinstance(gradients, Mapping):
            return _by_key(node, gradients)
        items = _in_order(node, gradients)
        pairs = all(isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], str) for item in items)
        return _by_key(node, dict(items)) if pairs else items
    if node.kind == "sequence":
        return _in_order(node, gradients)
    if isinstance(gradients, Mapping) and node.kind == "fields":
        return _by_key(node, gradients)
    if node.type is not None and isinstance(gradients, node.type):
        opened = _open(gradients, node.name)
        if opened is not None and opened[1] == node.keys:
            return opened[2]
    expected = node.type.__qualname__ if node.type is not None else node.kind
    raise ValueError(f"{_described(node)}: expected a {expected}, as the parameters are, got {kind(gradients)}")


def _match(node: Node, gradients: Any, out: list[Any]) -> None:
    if node.kind == "leaf":
        out.append(gradients)
    elif gradients is None:
        out.extend([None] * len(node.leaves))
    elif node.kind == "nothing":
        raise ValueError(f"{_described(node)}: the parameter is None, so None was expected, got {kind(gradients)}")
    elif node.flat:
        out.extend(_parts(node, gradients))
    else:
        for child, part in zip(node.children, _parts(node, gradients), strict=True):
            _match(child, part, out)


def match(node: Node, gradients: Any) -> list[Any]:
    """Return the gradients of a structure's leaves, in their order.

    None, for a leaf or for a whole part, says that there is no gradient. A mapping may list its keys in any order but
    must have all of them. A list stands for any sequence, a mapping for a dataclass or a named tuple.

    Raises:
        ValueError: The structure differs from the parameters'; the message names the place.
    """
    out: list[Any] = []
    _match(node, gradients, out)
    return out


def match_groups(nodes: Sequence[Node], gradients: Any) -> list[Any]:
    """Return the gradients of several groups' leaves, group by group.

    Accepted are a mapping from every parameter's name, a list of one gradient per parameter, and a list of one
    structure per group. Raises ValueError as `match` does.
    """
    names = tuple(name for node in nodes for name in node.leaves)
    if isinstance(gradients, Mapping):
        return _by_key(Node("mapping", "", names), gradients)
    if is_gradient(gradients) or not isinstance(gradients, Iterable):
        raise ValueError(
            f"gradients: expected a list of {len(names)}, one for each parameter, or of {len(nodes)}, one structure "
            f"for each group, got {kind(gradients)}"
        )
    items = list(gradients)
    if len(items) == len(names) and all(is_gradient(item) for item in items):
        return items
    if len(items) == len(nodes):
        return [gradient for node, item in zip(nodes, items, strict=True) for gradient in match(node, item)]
    raise ValueError(
        f"gradients: expected {len(names)}, one for each parameter ({listing(names)}), or {len(nodes)}, one structure "
        f"for each group, got {len(items)}"
    )
