"""The parameters of an optimizer in their groups, with their states."""

from __future__ import annotations

import copy
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from optdsl.runtime.groups import Groups, ParamGroup, evaluate
from optdsl.runtime.half import is_half
from optdsl.runtime.kernel import Array, Batch, Kernel, Leaf, Plan
from optdsl.runtime.losses import Losses
from optdsl.runtime.memory import check_distinct, check_parameter, flat_of
from optdsl.runtime.options import Value, as_truth, common_options, complete, read_options
from optdsl.runtime.parameter import Parameter
from optdsl.runtime.ranges import Ranges
from optdsl.runtime.rule import RuleInfo
from optdsl.runtime.slots import Becoming, Shown, Slot, become, existing
from optdsl.runtime.tree import Flat, Node, check_names, flatten, match, match_groups
from optdsl.runtime.wording import kind, listing


class Store:
    """The slots of an optimizer, in groups, bound to a kernel."""

    def __init__(self, rule: RuleInfo, kernel: Kernel, master_weights: bool = False) -> None:
        self.rule = rule
        self.kernel = kernel
        self.master_weights = master_weights
        self.losses = Losses()
        self.groups = Groups()
        self.slots: list[Slot] = []
        self.nodes: list[Node] = []
        self.grouped = False
        self.positions = 0
        self.shown: Shown | None = None
        self._plan: Plan | None = None
        self._ranges: Ranges | None = None
        self._batch: Batch | None = None
        self._batched = False
        self._kinds: list[list[Slot]] = []
        self._holds = False

    # Parameters and groups.

    def add_group(self, params: Any, options: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
        """Add a group, or raise and leave everything as it was."""
        own = [name for name in common_options(self.rule) if name == "maximize"]
        settings, common = read_options(self.rule, options, own)
        maximize = as_truth("maximize", common.get("maximize", defaults.get("maximize", False))) if own else False
        inherited, _ = read_options(self.rule, {k: v for k, v in defaults.items() if k not in own}, ())
        group = self._make_group(complete(self.rule, {**inherited, **settings}), maximize)
        flat = flatten(params, self.positions)
        slots = self._make_slots(group, flat)
        group.params.extend(slot.given for slot in slots)
        self.groups.join(group)
        self.slots.extend(slots)
        self.nodes.append(flat.node)
        self.positions += flat.positions
        self._rebind()

    def _make_group(self, settings: Mapping[str, Value], maximize: bool) -> ParamGroup:
        # A strong reference would be a cycle, and keep the arrays of a dropped optimizer until the next collection.
        back = weakref.ref(self)

        def change(group: ParamGroup, settings: Mapping[str, Value]) -> None:
            store = back()
            if store is not None:
                store.refit(group, settings)

        return ParamGroup(self.rule, [], settings, maximize, change)

    def _make_slots(self, group: ParamGroup, flat: Flat) -> list[Slot]:
        check_names(flat.entries, (slot.name for slot in self.slots))
        arrays = [(entry.name, check_parameter(entry.name, entry.value)) for entry in flat.entries]
        check_distinct([*((slot.name, slot.leaf.data) for slot in self.slots), *arrays])
        return [
            self._make_slot(group, entry.name, entry.value, array)
            for entry, (_, array) in zip(flat.entries, arrays, strict=True)
        ]

    def _make_slot(self, group: ParamGroup, name: str, given: Any, array: Array) -> Slot:
        data = array.view(np.ndarray)
        flat, private = flat_of(data)
        scalars = np.zeros(len(self.rule.scalar_states), np.float64)
        mastered = self.master_weights and is_half(data.dtype)
        leaf = Leaf(name, array, data, flat, {}, scalars, mastered=mastered)
        return Slot(given, leaf, group, private, weakref.ref(array))

    def append(self, value: Any) -> Callable[[], None]:
        """Add one parameter to the first group and return what takes it back. Raises before anything changes."""
        group, node = self.groups[0], self.nodes[0]
        flat = flatten(value, self.positions)
        if flat.node.kind != "leaf":
            raise TypeError(f"update takes one array or optdsl.Parameter at a time, got {kind(value)}")
        slot = self._make_slots(group, flat)[0]
        index = len(group.params)
        group.params.append(slot.given)
        self.slots.insert(index, slot)
        self.nodes[0] = _extended(node, flat.node)
        self.positions += 1
        self._rebind()

        def take_back() -> None:
            del self.slots[index], group.params[index]
            self.nodes[0] = node
            self.positions -= 1
            self._rebind()

        return take_back

    def find(self, key: object) -> Slot | None:
        """Return the slot of a name, a `Parameter` or an array."""
        for slot in self.slots:
            if slot.given is key or slot.leaf.array is key or (isinstance(key, str) and slot.name == key):
                return slot
        return None

    def clone(self, memo: dict[int, Any]) -> Store:
        """Return a copy with copies of the parameters, for copy.deepcopy."""
        other = Store(self.rule, self.kernel, self.master_weights)
        other.losses.told = self.losses.told
        other.nodes, other.grouped, other.positions = list(self.nodes), self.grouped, self.positions
        twins: dict[int, ParamGroup] = {}
        for group in self.groups:
            twin = other._make_group(copy.deepcopy(dict(group.settings), memo), group.maximize)
            twins[id(group)] = memo[id(group)] = twin
            other.groups.join(twin)
        for slot in self.slots:
            given = copy.deepcopy(slot.given, memo)
            twin = twins[id(slot.group)]
            twin.params.append(given)
            fresh = self._make_slot(twin, slot.name, given, check_parameter(slot.name, given))
            fresh.leaf.steps, fresh.leaf.variant, fresh.alive = slot.leaf.steps, slot.leaf.variant, slot.alive
            fresh.leaf.states = {name: array.copy() for name, array in slot.leaf.states.items()}
            fresh.leaf.scalars[...] = slot.leaf.scalars
            other.slots.append(fresh)
        if self.shown is not None:
            other.shown = Shown(self.shown.name, [array.copy() for array in self.shown.kept])
        return other

    # States.

    def commit(self, changes: Iterable[Becoming]) -> None:
        """Put states in place."""
        done = False
        for change in changes:
            change.commit()
            done = True
        if done:
            self._unbind()

    def refit(self, group: ParamGroup, settings: Mapping[str, Value]) -> None:
        """Make the states of a group's parameters fit new settings, or raise and change nothing."""
        changes = []
        for slot in self.slots:
            if slot.group is group and slot.alive is not None:
                numbers = evaluate(self.rule, settings, slot.leaf.steps + 1)
                if existing(self.rule, numbers) != slot.alive or self.kernel.variant(numbers) != slot.leaf.variant:
                    changes.append(become(self.rule, self.kernel, slot, numbers))
        if changes:
            self.check_training("changing which states there are")
        self.commit(changes)

    def check_training(self, what: str) -> None:
        """Raise RuntimeError if the parameters hold a view now, so that `what` would take it for their values."""
        if self.shown is not None:
            raise RuntimeError(f"the parameters hold the view {self.shown.name!r}; call opt.train() before {what}")

    def take_over(
        self,
        becoming: Sequence[Becoming],
        steps: Mapping[str, int],
        settings: Mapping[int, tuple[Mapping[str, Value], bool]],
    ) -> None:
        """Put checked states, step counts and group settings in place; `settings` goes by the groups' id."""
        self.drop_states(self.slots)
        self.commit(becoming)
        for slot in self.slots:
            slot.leaf.steps = steps[slot.name]
        for group in self.groups:
            group.adopt(*settings[id(group)])

    def drop_states(self, slots: Iterable[Slot]) -> None:
        """Be, for these slots, as before their states came into being."""
        for slot in slots:
            slot.drop_states()
            self._unbind()

    def initialise(self) -> None:
        """Bring every state into being that isn't there yet."""
        missing = [slot for slot in self.slots if slot.alive is None]
        self.commit([become(self.rule, self.kernel, slot, slot.group.numbers(slot.leaf.steps + 1)) for slot in missing])

    # Gradients and memory.

    def _rebind(self) -> None:
        """Forget what was worked out for the parameters as they were."""
        self._unbind()
        self.forget_gradients()

    def _unbind(self) -> None:
        """Forget what was worked out for the states as they were."""
        self._plan = self._ranges = self._batch = None
        self._batched = False

    def take(self, active: Sequence[int], gradients: Sequence[Any]) -> list[Array]:
        """Return the gradients of some slots in the form kernels take, and hold them. Raises as `Intake.take` does."""
        ranges = self.ranges()
        self._holds = True
        slots = ((index, self.slots[index]) for index in active)
        return [slot.intake.take(slot.name, gradients[index], slot.leaf.data, ranges) for index, slot in slots]

    def forget_gradients(self) -> None:
        """Let go of the gradients last seen."""
        if self._holds:
            for slot in self.slots:
                slot.intake.forget()
            self._holds = False

    def own_gradients(self) -> list[Any]:
        """Return the gradients that the parameters carry. Raises TypeError where one is a plain array."""
        plain = [slot.name for slot in self.slots if not isinstance(slot.given, Parameter)]
        if plain:
            raise TypeError(
                "step() without gradients needs every parameter to be an optdsl.Parameter, which carries its own; "
                f"plain arrays are {listing(plain)}: use step(gradients)"
            )
        return [slot.given.grad for slot in self.slots]

    def match(self, gradients: Any) -> list[Any]:
        """Return gradients given in the parameters' structure, one for each slot."""
        return match_groups(self.nodes, gradients) if self.grouped else match(self.nodes[0], gradients)

    def plan(self) -> Plan:
        """Return the kernel bound to the leaves as they are."""
        if self._plan is None:
            leaves = [slot.leaf for slot in self.slots]
            self.losses.watch(leaves)
            self._plan = self.kernel.plan(leaves)
        return self._plan

    def batch(self) -> Batch | None:
        """Return what steps all parameters together, once all have their states; None where that can't be done."""
        if not self._batched and all(slot.alive is not None for slot in self.slots):
            self._batched = True
            members = [[i for i, slot in enumerate(self.slots) if slot.group is group] for group in self.groups]
            if all(members) and not any(slot.private for slot in self.slots):
                self._batch = self.plan().batch(members, self.ranges())
                forms = ({(s.alive, s.leaf.variant): s for s in map(self.slots.__getitem__, own)} for own in members)
                self._kinds = [list(form.values()) for form in forms]
        return self._batch

    def kinds(self, group: int) -> list[Slot]:
        """Return one slot for each set of states that parameters of a group have, once there is a batch."""
        return self._kinds[group]

    def lost_updates(self) -> str | None:
        """Return what to warn of, once, where rounding has undone most updates of a parameter of 16 bits."""
        message = self.losses.message()
        if message is not None:
            self._unbind()  # the next plan has nothing to look for
        return message

    def ranges(self) -> Ranges:
        """Return the memory of parameters and states."""
        if self._ranges is None:
            leaves = [slot.leaf for slot in self.slots]
            self._ranges = Ranges(
                array for leaf in leaves for array in (leaf.data, leaf.scalars, *leaf.states.values())
            )
        return self._ranges


def _extended(node: Node, leaf: Node) -> Node:
    """Return a group's structure with one more parameter at its end."""
    leaves = (*node.leaves, leaf.name)
    if node.kind in {"mapping", "pairs"}:
        return Node(node.kind, node.name, (*node.keys, leaf.name), (*node.children, leaf), node.type, leaves)
    if node.kind == "sequence":
        return Node("sequence", node.name, (*node.keys, len(node.keys)), (*node.children, leaf), node.type, leaves)
    return Node("sequence", node.name, (0, 1), (node, leaf), list, leaves)
