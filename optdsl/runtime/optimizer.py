"""`Optimizer`, the base of every compiled rule's class."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from optdsl.runtime.clipping import Limits
from optdsl.runtime.describe import docstring, signature
from optdsl.runtime.groups import ParamGroup
from optdsl.runtime.kernel import Kernel
from optdsl.runtime.options import (
    as_truth,
    check_limit,
    check_nonfinite,
    common_options,
    complete,
    read_options,
)  # fmt: skip
from optdsl.runtime.parameter import Parameter
from optdsl.runtime.rule import RuleInfo
from optdsl.runtime.slots import Slot, states_of
from optdsl.runtime.stepping import advance
from optdsl.runtime.store import Store
from optdsl.runtime.tree import is_closure, materialise, split_groups
from optdsl.runtime.wording import number, suggestion


class Optimizer:
    """Steps parameters in place by a compiled rule. A subclass names the rule and its kernel.

    Attributes:
        rule: The rule, as data.
        kernel: The compiled rule.
        defaults: Options that a new group takes where it gives none of its own.
        param_groups: The groups, a list of live mappings: `opt.param_groups[0]["lr"] = 0.1`.
        skipped: Steps left out under nonfinite="skip".
    """

    rule: ClassVar[RuleInfo]
    kernel: ClassVar[Kernel]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "rule" in cls.__dict__:
            cls.__signature__ = signature(cls.rule)  # type: ignore[attr-defined]
            if not cls.__dict__.get("__doc__"):
                cls.__doc__ = docstring(cls.rule)

    def __init__(self, /, params: Any = None, **options: Any) -> None:
        """Make an optimizer.

        Args:
            params: What to step: an array or `Parameter`, any nesting of them in mappings, sequences and dataclasses,
                or a list of groups `{"params": …, "lr": …}`. Without it `optdsl.update` brings them.
            **options: The rule's hyperparameters, and the options common to all rules.

        Raises:
            TypeError: An unknown option, or a parameter that can't be stepped in place.
            ValueError: A value outside its interval; no parameters; read-only, overlapping or duplicate arrays.
        """
        if not hasattr(type(self), "rule"):
            raise TypeError("Optimizer has no rule of its own; use a compiled one, such as optdsl.optimizers.Adam")
        common = common_options(self.rule)
        settings, given = read_options(self.rule, options, common)
        common.update(given)
        self._limits = Limits()
        self.skipped = 0
        for name in ("clip_norm", "clip_value", "nonfinite"):
            if name in common:
                setattr(self, name, common[name])
        self.defaults: dict[str, Any] = dict(complete(self.rule, settings))
        if "maximize" in common:
            self.defaults["maximize"] = as_truth("maximize", common["maximize"])
        self._store = Store(self.rule, self.kernel, as_truth("master_weights", common.get("master_weights", False)))
        self._add_all(params)

    def _add_all(self, params: Any) -> None:
        if params is None:
            self._store.add_group([], {}, self.defaults)
            return
        params = materialise(params)
        groups = split_groups(params)
        if groups is None:
            self._refuse_bare_group(params)
            self._store.add_group(params, {}, self.defaults)
        else:
            self._store.grouped = True
            for group in groups:
                self.add_param_group(group)
        if not self._store.slots:
            raise ValueError("params is empty, so there is nothing to step (has an iterator been used before?)")

    def _refuse_bare_group(self, params: Any) -> None:
        if isinstance(params, Mapping) and "params" in params and len(params) > 1:
            names = {*self.defaults, *self.rule.aliases}
            if all(key == "params" or key in names for key in params):
                raise TypeError("params is one group; groups go in a list: [{'params': …, …}]")

    # Stepping.

    def step(self, grads: Any = None) -> Any:
        """Step every parameter that has a gradient, in place.

        Args:
            grads: Gradients in the parameters' structure, None where there is none; with several groups, a list of one
                structure per group, a list of one gradient per parameter, or a mapping from every parameter's name.
                Or a closure without arguments, which returns the loss; where some parameter is a plain array it
                returns (loss, gradients). Or nothing, where every parameter is a `Parameter` with its own gradient.

        Returns:
            The closure's loss; None without a closure.

        Raises:
            ValueError: The structure, the count or a shape differs from the parameters'; a schedule gives a value
                outside its interval.
            TypeError: An element type differs, or gradients are missing.
            FloatingPointError: A gradient isn't finite, under nonfinite="raise".
            RuntimeError: The parameters hold a view, after `eval`.
            After any of these no parameter, state or step count has changed.
        """
        self._store.check_training("step")
        loss = None
        if is_closure(grads):
            loss, grads = self._evaluate(grads)
        store = self._store
        gradients = store.own_gradients() if grads is None else store.match(grads)
        self._stepped(advance(store, gradients, self._limits))
        return loss

    def _stepped(self, stepped: bool) -> None:
        """Count a step that was left out, and warn of updates that were lost in one that wasn't."""
        if not stepped:
            self.skipped += 1
        message = self._store.lost_updates()
        if message is not None:
            warnings.warn(message, UserWarning, stacklevel=3)

    def __call__(self, grads: Any = None) -> Any:
        """Step, as `step` does."""
        return self.step(grads)

    def _evaluate(self, closure: Callable[[], Any]) -> tuple[Any, Any]:
        result = closure()
        if all(isinstance(slot.given, Parameter) for slot in self._store.slots):
            return result, None
        if not isinstance(result, tuple) or len(result) != 2:
            raise TypeError("the parameters are plain arrays, so the closure must return (loss, gradients)")
        return result

    def update(self, parameter: Any, gradient: Any) -> None:
        """Step one parameter and leave the others alone, as in Flux.

        A parameter not yet known joins the first group. `clip_norm` bounds the norm of this gradient by itself.
        Raises as `step` does.
        """
        store = self._store
        store.check_training("update")
        slot = None if isinstance(parameter, str) else store.find(parameter)
        take_back = store.append(parameter) if slot is None else None
        chosen = slot or store.find(parameter)
        try:
            stepped = advance(store, [gradient if each is chosen else None for each in store.slots], self._limits)
        except BaseException:
            if take_back is not None:
                take_back()
            raise
        self._stepped(stepped)

    def zero_grad(self) -> None:
        """Set the gradient of every `Parameter` to None, and let go of the gradients last seen."""
        for slot in self._store.slots:
            if isinstance(slot.given, Parameter):
                slot.given.grad = None
        self._store.forget_gradients()

    # Groups and options.

    @property
    def param_groups(self) -> list[ParamGroup]:
        """The groups. Add to them with `add_param_group`."""
        return self._store.groups

    def add_param_group(self, group: Mapping[str, Any]) -> None:
        """Add parameters with options of their own: `{"params": …, "lr": …}`.

        Missing options take `defaults`. Unnamed parameters are numbered on from those that are there. Gradients are
        from then on given per group. Raises as making an optimizer does, and then adds nothing.
        """
        self._store.check_training("add_param_group")
        if not isinstance(group, Mapping) or "params" not in group:
            raise TypeError("a group is a mapping with a 'params' entry, such as {'params': [W], 'lr': 0.1}")
        options = {key: value for key, value in group.items() if key != "params"}
        own = common_options(self.rule)
        for name in options:
            if name in own and name != "maximize":
                raise TypeError(f"{name} is an option of the whole optimizer, not of a group")
        self._store.add_group(materialise(group["params"]), options, self.defaults)
        self._store.grouped = True

    @property
    def clip_norm(self) -> float | None:
        """The bound on the Euclidean norm of all gradients together, or None. They're scaled by min(1, bound/norm)."""
        return self._limits.clip_norm

    @clip_norm.setter
    def clip_norm(self, value: float | None) -> None:
        self._limits.clip_norm = check_limit("clip_norm", value)

    @property
    def clip_value(self) -> float | None:
        """The bound on the magnitude of every gradient element, or None. It applies before `clip_norm`."""
        return self._limits.clip_value

    @clip_value.setter
    def clip_value(self, value: float | None) -> None:
        self._limits.clip_value = check_limit("clip_value", value)

    @property
    def nonfinite(self) -> str:
        """What happens where a gradient has an infinity or NaN: "propagate", "skip" the step, or "raise"."""
        return self._limits.nonfinite

    @nonfinite.setter
    def nonfinite(self, value: str) -> None:
        self._limits.nonfinite = check_nonfinite(value)

    @property
    def master_weights(self) -> bool:
        """Whether parameters of 16 bits have a float32 master copy: `opt.state["W"]["master"]`.

        It comes into being with the states, from the parameter. Each step is made on it, and then rounded to the
        parameter. Where the caller has changed elements of the parameter between steps, the master follows them.
        """
        return self._store.master_weights

    # State.

    @property
    def state(self) -> StateView:
        """States by parameter name and state name: `opt.state["W"]["m"]` is the array itself."""
        return StateView(self._store)

    def init_state(self) -> None:
        """Bring all states into being now rather than at each parameter's first step."""
        self._store.check_training("init_state")
        self._store.initialise()

    def step_count(self, name: Any) -> int:
        """Return how many steps a parameter, given by its name or itself, has made. KeyError if it isn't known."""
        return _slot(self._store, name).leaf.steps

    def state_dict(self) -> dict[str, Any]:
        """Return copies of all states with step counts and options, by parameter name.

        The layout stands in `optdsl.runtime.statedict`.
        """
        self._store.check_training("state_dict")
        from optdsl.runtime import statedict

        return statedict.export(self._store, self._limits, self.skipped)

    def load_state_dict(self, state_dict: Mapping[str, Any], *, strict: bool = True) -> None:
        """Take over what `state_dict` returned, all of it or nothing.

        Hyperparameters that had a schedule keep the schedule this optimizer has. Parameters aren't part of it.

        Args:
            state_dict: What `state_dict` returned.
            strict: Refuse a rule whose text has changed since. States must fit in any case.

        Raises:
            TypeError: Not a mapping.
            ValueError: Another rule, names, shapes or element types; the message lists what is missing or unknown.
        """
        self._store.check_training("load_state_dict")
        from optdsl.runtime import statedict

        self.skipped = statedict.restore(self._store, self._limits, state_dict, strict)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a checkpoint in safetensors format, beside `path` first and then renamed: `path` is always whole."""
        self._store.check_training("save")
        from optdsl.runtime import checkpoint, statedict

        checkpoint.write(path, statedict.export(self._store, self._limits, self.skipped))

    def load(self, path: str | os.PathLike[str], *, strict: bool = True) -> None:
        """Take over a checkpoint, all of it or nothing.

        Raises ValueError naming the file for a malformed one and for one that `load_state_dict` refuses, OSError for
        one that can't be read.
        """
        self._store.check_training("load")
        from optdsl.runtime import checkpoint  # only files need it

        document = checkpoint.read(path)
        try:
            self.load_state_dict(document, strict=strict)
        except (ValueError, TypeError) as error:
            raise ValueError(f"{os.fspath(path)}: {error}") from error

    # Views.

    def view(self, name: str | None = None) -> Any:
        """Return a view of the parameters, such as an average of their values, in new arrays.

        Args:
            name: The view's name in the rule; `MyRule.rule.views` lists them. Without it the view called `eval`, else
                the only one.

        Returns:
            Arrays in the parameters' structure; with groups, a mapping from every parameter's name. `step` takes
            gradients in either form. The view of a parameter that has made no step is the parameter itself.

        Raises:
            ValueError: The rule has no such view, or several and no name was given.
        """
        from optdsl.runtime import views

        return views.structured(self._store, views.compute(self._store, views.find(self._store, name)))

    def eval(self, name: str | None = None) -> Self:
        """Put a view into the parameters' arrays, in place, to evaluate with; `train` takes it out again.

        The training values are kept aside, bit for bit. A second `eval` with the same view changes nothing, with
        another it changes to that. Until `train` is called, stepping, checkpoints and new groups are refused by a
        RuntimeError. Returns the optimizer. Raises as `view` does, and ValueError where an array is read-only; nothing
        has then changed.
        """
        from optdsl.runtime import views

        views.show(self._store, name)
        return self

    def train(self) -> Self:
        """Put the training values back that `eval` kept aside, whatever the arrays have been changed to meanwhile.

        Returns the optimizer; does nothing where the parameters hold no view.
        """
        from optdsl.runtime import views

        views.restore(self._store)
        return self

    # Copies.

    def __deepcopy__(self, memo: dict[int, Any]) -> Optimizer:
        """Return an optimizer over copies of the parameters: `copy.deepcopy((model, opt))` keeps the two together."""
        other = object.__new__(type(self))
        memo[id(self)] = other
        other._limits = Limits(self.clip_norm, self.clip_value, self.nonfinite)
        other.skipped = self.skipped
        other.defaults = dict(self.defaults)
        other._store = self._store.clone(memo)
        return other

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError(
            f"{type(self).__name__} can't be pickled or copied by reference: it steps arrays that others hold. "
            "Use save() or state_dict(), or copy.deepcopy((parameters, optimizer))"
        )

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for index, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {index}")
            lines += [f"    {name}: {_shown(group[name])}" for name in group if name != "params"]
        for name, ordinary in (("clip_norm", None), ("clip_value", None), ("nonfinite", "propagate")):
            if getattr(self, name) != ordinary:
                lines.append(f"{name}: {_shown(getattr(self, name))}")
        if self.master_weights:
            lines.append("master_weights: True")
        if self._store.shown is not None:
            lines.append(f"holding the view: {self._store.shown.name!r}")
        return "\n".join([*lines, ")"])


class StateView(Mapping[str, Mapping[str, npt.NDArray[np.floating]]]):
    """The states that exist, by parameter name and state name. A `Parameter` or array finds its own too."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __getitem__(self, key: Any) -> Mapping[str, npt.NDArray[np.floating]]:
        slot = _slot(self._store, key)
        if slot.alive is None:
            raise KeyError(
                f"{slot.name!r} has no state before its first step with a gradient; opt.init_state() makes it now"
            )
        return MappingProxyType(states_of(self._store.rule, slot))

    def __iter__(self) -> Iterator[str]:
        return (slot.name for slot in self._store.slots if slot.alive is not None)

    def __len__(self) -> int:
        return sum(slot.alive is not None for slot in self._store.slots)

    def __repr__(self) -> str:
        return repr({name: dict(self[name]) for name in self})


def _slot(store: Store, key: Any) -> Slot:
    slot = store.find(key)
    if slot is None:
        shown = repr(key) if isinstance(key, (str, int)) else "this object"
        raise KeyError(f"no parameter {shown}{suggestion(key, [slot.name for slot in store.slots])}")
    return slot


def _shown(value: Any) -> str:
    return number(value) if isinstance(value, float) and not isinstance(value, bool) else repr(value)
