"""The signature and the documentation of an optimizer class, made from its rule."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Iterable
from typing import Any

from optdsl.runtime.options import argument_name, common_options, complete
from optdsl.runtime.rule import Hyper, RuleInfo
from optdsl.runtime.wording import number

WIDTH = 100

COMMON_DOCS = {
    "clip_norm": "Bound on the Euclidean norm of all gradients together, which are scaled by min(1, clip_norm / norm).",
    "clip_value": "Bound on the magnitude of every gradient element, applied before clip_norm.",
    "nonfinite": "What to do where a gradient has an infinity or NaN: 'propagate', 'skip' the whole step, or 'raise'.",
    "maximize": "Ascend: turn the gradient round. May differ between groups.",
    "master_weights": "Keep a float32 copy of each parameter of 16 bits, which is stepped and then rounded to it. "
    "Parameters of float32 and float64 are stepped as they are.",
}


def defaults(rule: RuleInfo) -> dict[str, Any]:
    """Return the default of every hyperparameter, those that depend on others worked out."""
    return dict(complete(rule, {}))


def signature(rule: RuleInfo) -> inspect.Signature:
    """Return the signature of a rule's class: parameters, then options by keyword."""
    keyword_only = inspect.Parameter.KEYWORD_ONLY
    options = {argument_name(name): value for name, value in defaults(rule).items()}
    options |= dict.fromkeys(rule.aliases) | common_options(rule)
    return inspect.Signature(
        [
            inspect.Parameter("params", inspect.Parameter.POSITIONAL_OR_KEYWORD, default=None),
            *(inspect.Parameter(name, keyword_only, default=value) for name, value in options.items()),
        ]
    )


def _item(head: str, text: str) -> str:
    return textwrap.fill(
        f"{head}: {text}" if text else head, WIDTH, initial_indent="    ", subsequent_indent="        "
    )


def _sentence(text: str) -> str:
    text = text.strip()
    return text if not text or text[-1] in ".!?" else text + "."


def _hyper_item(hyper: Hyper, default: Any) -> str:
    shown = repr(default) if isinstance(default, bool) else number(default)
    facts = [f"Default {shown}"]
    if hyper.interval is not None:
        facts.append(f"in {hyper.interval}")
    doc = _sentence(hyper.doc)
    text = f"{doc[:1].upper()}{doc[1:]} {', '.join(facts)}.".strip()
    return _item(argument_name(hyper.name), text)


def _section(title: str, items: Iterable[str]) -> list[str]:
    lines = list(items)
    return ["", f"{title}:", *lines] if lines else []


def _arguments(rule: RuleInfo) -> list[str]:
    values = defaults(rule)
    items = [
        _item("params", "An array, any nesting of arrays in mappings, sequences and dataclasses, or a list of groups.")
    ]
    items += [_hyper_item(hyper, values[hyper.name]) for hyper in rule.hypers]
    items += [_item(name, f"The tuple ({', '.join(members)}).") for name, members in rule.aliases.items()]
    items += [_item(name, f"{COMMON_DOCS[name]} Default {value!r}.") for name, value in common_options(rule).items()]
    return items


def _states(rule: RuleInfo) -> list[str]:
    items = []
    for state in rule.states:
        shape = "one number per parameter" if state.scalar else "shaped like the parameter"
        condition = f", only where {state.condition or 'its condition holds'}" if state.when is not None else ""
        items.append(_item(state.name, f"{_sentence(state.doc)} {shape[0].upper()}{shape[1:]}{condition}.".strip()))
    return items


def _views(rule: RuleInfo) -> list[str]:
    """Return the views in words; the line of each stands behind its name."""
    return [
        _item(
            view.name,
            f"{_sentence(view.doc)} {view.text}{f', only where {view.condition}' * (view.when is not None)}".strip(),
        )
        for view in rule.views
    ]


def docstring(rule: RuleInfo) -> str:
    """Return the documentation of a rule's class, as a person would have written it."""
    summary, _, rest = rule.doc.strip().partition("\n")
    lines = [_sentence(summary) or f"The rule {rule.name}."]
    if rest.strip():
        lines += ["", textwrap.dedent(rest).strip()]
    if rule.equations:
        lines += ["", "One step, a prime marking the value after it:", ""]
        lines += [f"    {line}" for equation in rule.equations for line in equation.splitlines()]
    lines += _section("Args", _arguments(rule))
    lines += ["", "A hyperparameter is a number or a callable of the step number, which is 1 at the first step."]
    lines += _section("States", _states(rule))
    lines += _section("Views", _views(rule))
    if rule.views:
        lines += ["", "opt.view(name) returns a view; opt.eval() puts one into the parameters, opt.train() back."]
    lines += _section("Citation", (_item(citation[0], ", ".join(citation[1:])) for citation in rule.citations))
    lines += _section(
        "Example",
        (
            "    >>> W, b = np.zeros((2, 5)), np.zeros(2)",
            f"    >>> opt = {rule.name}([W, b])",
            "    >>> opt.step([np.ones((2, 5)), np.ones(2)])",
        ),
    )
    return "\n".join(lines) + "\n"
