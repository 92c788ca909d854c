"""What `optdsl run` does: compile a rule, try it on a problem, and say what came of it."""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from optdsl.loading import load, loads, resolve_target
from optdsl.runtime import toolchain
from optdsl.runtime.optimizer import Optimizer
from optdsl.runtime.wording import suggestion
from optdsl.terminal import count
from optdsl.trials import plot as pictures
from optdsl.trials.functions import FUNCTIONS
from optdsl.trials.run import (
    DIGITS_STEPS,
    FUNCTION_STEPS,
    DigitsResult,
    FunctionResult,
    Result,
    run_digits,
    run_function,
)
from optdsl.trials.run import Progress as Report

PROBLEMS = ("digits", *FUNCTIONS)
"""What `--on` takes."""

_REFRESHES = 200
"""Updates of the progress bar over a whole run; more would cost more than the steps."""


def run(
    rule: str,
    on: str = "digits",
    steps: int | None = None,
    plot: str | Path | None = None,
    target: str = "auto",
    options: Sequence[str] = (),
    seed: int = 0,
    console: Console | None = None,
) -> bool:
    """Try a rule on a problem and print what came of it.

    Args:
        rule: A bundled name, a file, or `-` for standard input.
        on: The problem, one of PROBLEMS.
        steps: How many steps to make; None for as many as suit the problem.
        plot: A file for a picture of the run.
        target: What to compile for: "auto", "numpy", "c" or another target's name.
        options: Options of the optimizer, each as `name=value`; the rule's own defaults hold for the others.
        seed: Sets the network's first weights and the order of the images. Functions have no use for it.
        console: Where to print; standard output by default. Progress goes to standard error.

    Returns:
        Whether the loss stayed a finite number. Where it didn't, that is printed too.

    Raises:
        click.UsageError: An unknown problem or option, or a value that isn't allowed, the optimizer's own included.
        FileNotFoundError, OSError, ValueError, CompileError, ToolchainError: As `optdsl.load` does.
        PlotError: A picture was asked for, and matplotlib is missing.
    """
    console = console or Console()
    _check(on, steps, seed)
    settings = parse_options(options)
    if plot is not None:
        with _as_usage(ValueError):
            pictures.check(plot)
    optimizer_class, notes = _compile(rule, target)
    with _as_usage(TypeError, ValueError):
        optimizer_class(**settings)
    for note in notes:
        _say(console, note)
    _say(console, _where(rule, optimizer_class, target))
    count = steps or (DIGITS_STEPS if on == "digits" else FUNCTION_STEPS)
    result: Result
    try:
        with _progress(f"{optimizer_class.rule.name} on {on}", count) as report:
            if on == "digits":
                result = run_digits(optimizer_class, settings, steps=count, seed=seed, progress=report)
            else:
                result = run_function(optimizer_class, on, settings, steps=count, progress=report)
    except FloatingPointError as error:  # what the option nonfinite=raise asks for
        _say(console, f"diverged: {error}")
        return False
    _tell(console, result, optimizer_class)
    if plot is not None:
        pictures.plot(result, plot)
        _say(console, f"picture: {plot}")
    return not result.diverged


def parse_options(options: Sequence[str]) -> dict[str, Any]:
    """Return options typed as `name=value` as Python values.

    `true` and `false` are truth values, `none` is None, numbers are floats, `0.9,0.99` with or without brackets is a
    tuple of these; anything else stays text, for the optimizer to judge.

    Raises:
        click.UsageError: No `=`, or a name given twice.
    """
    settings: dict[str, Any] = {}
    for option in options:
        name, equals, text = option.partition("=")
        name = name.strip()
        if not equals or not name:
            raise click.UsageError(f"{option!r} is not an option with its value, such as lr=0.01")
        if name in settings:
            raise click.UsageError(f"{name} is given twice, the second time as {option!r}")
        settings[name] = _value(text.strip())
    return settings


def _value(text: str) -> Any:
    bracketed = text[:1] + text[-1:] in {"()", "[]"}
    if bracketed or "," in text:
        inner = text[1:-1] if bracketed else text
        return tuple(_word(part.strip()) for part in inner.split(",") if part.strip())
    return _word(text)


def _word(text: str) -> bool | float | str | None:
    words = {"true": True, "false": False, "none": None}
    if text.lower() in words:
        return words[text.lower()]
    try:
        return float(text)
    except ValueError:
        return text


def _check(on: str, steps: int | None, seed: int) -> None:
    if on not in PROBLEMS:
        raise click.UsageError(f"there is no problem {on!r}{suggestion(on, PROBLEMS)} (of {', '.join(PROBLEMS)})")
    if steps is not None and steps < 1:
        raise click.UsageError(f"steps = {steps} is below 1")
    if seed < 0:
        raise click.UsageError(f"seed = {seed} is below 0")


@contextmanager
def _as_usage(*kinds: type[Exception]) -> Iterator[None]:
    """Turn errors about what the user has typed into a usage error with the same words."""
    try:
        yield
    except kinds as error:
        raise click.UsageError(str(error)) from error


def _compile(rule: str, target: str) -> tuple[type[Optimizer], list[str]]:
    """Return the compiled rule, and what was said on the way, such as why no library could be built."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        optimizer_class = loads(sys.stdin.read(), target) if rule == "-" else load(rule, target)
    notes = [
        str(warning.message).splitlines()[0].rstrip(":") for warning in caught if warning.category is RuntimeWarning
    ]
    return optimizer_class, notes


def _where(rule: str, optimizer_class: type[Optimizer], target: str) -> str:
    """Return the line that says what the rule runs on."""
    used = optimizer_class.kernel.target
    name = optimizer_class.rule.name if rule == "-" else rule
    if used == "c":
        compiler = toolchain.find_compiler()
        return f"{name} on C ({compiler.name} {_version(compiler.version)})"
    if used == "numpy" and target == "auto" and resolve_target("auto") == "numpy":
        return f"no C compiler found: {name} runs on NumPy"
    return f"{name} on {'NumPy' if used == 'numpy' else used}"


def _version(text: str) -> str:
    """Return the version number in what a compiler says of itself: `cc (Debian 12.2.0-14) 12.2.0` is `12.2.0`."""
    number = re.search(r"\d+(\.\d+)+", re.sub(r"\([^)]*\)", "", text)) or re.search(r"\d+(\.\d+)+", text)
    return number.group() if number else text


@contextmanager
def _progress(title: str, total: int) -> Iterator[Report | None]:
    """Show a bar on standard error where that is a terminal, and yield what is to be called after each step."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]:.4g}"),
    )
    every = max(1, total // _REFRESHES)
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as bar:
        task = bar.add_task(title, total=total, loss=float("nan"))

        def report(step: int, loss: float) -> None:
            if step % every == 0 or step == total:
                bar.update(task, completed=step, loss=loss)

        yield report


def _tell(console: Console, result: Result, optimizer_class: type[Optimizer]) -> None:
    """Print a table of how the run ended, what went wrong, and where the code lies."""
    if isinstance(result, DigitsResult):
        steps, losses = len(result.losses), [point.train.loss for point in result.checkpoints]
        console.print(_digits_table(result))
    else:
        steps, losses = len(result.path) - 1, list(result.losses)
        console.print(_function_table(result))
    _say(console, f"{count(steps, 'step')} in {result.seconds:.2f} s")
    if result.diverged:
        _say(
            console,
            f"diverged after {count(steps, 'step')}: the loss is no longer a finite number{_hint(optimizer_class)}",
        )
    elif losses[-1] >= losses[0]:
        _say(
            console, f"the loss did not fall: it went from {losses[0]:.4g} to {losses[-1]:.4g}{_hint(optimizer_class)}"
        )
    _say(console, f"generated code: {_code(optimizer_class)}")


def _digits_table(result: DigitsResult) -> Table:
    last = result.checkpoints[-1]
    table = Table(title=f"{result.rule} on handwritten digits", title_justify="left")
    table.add_column("images")
    table.add_column("loss", justify="right")
    table.add_column("accuracy", justify="right")
    for name, score in (("train", last.train), ("test", last.test)):
        table.add_row(name, f"{score.loss:.4f}", f"{100 * score.accuracy:.1f} %")
    return table


def _function_table(result: FunctionResult) -> Table:
    table = Table(title=f"{result.rule} on {result.function.name}", title_justify="left")
    table.add_column("")
    for heading in ("x", "y", "value", "distance to the minimum"):
        table.add_column(heading, justify="right")
    for name, point, value in (
        ("start", result.function.start, result.losses[0]),
        ("end", result.end, result.losses[-1]),
    ):
        numbers = (*point, value, result.function.distance(point))
        table.add_row(name, *(f"{number:.6g}" for number in numbers))
    return table


def _hint(optimizer_class: type[Optimizer]) -> str:
    """Return how to change the learning rate, where the rule has one."""
    names = [hyper.name for hyper in optimizer_class.rule.hypers]
    rate = next((name for name in ("lr", "eta") if name in names), None)
    return f"; another learning rate may help: -O {rate}=…" if rate else ""


def _code(optimizer_class: type[Optimizer]) -> str:
    """Return where the generated code lies."""
    file = sys.modules[optimizer_class.__module__].__file__
    if file is None or not Path(file).exists():
        return "not kept, because the cache can't be written to (`optdsl cache dir` names it)"
    c_file = Path(file).with_suffix(".c")
    return f"{file} and {c_file.name}" if c_file.exists() else file


def _say(console: Console, line: str) -> None:
    """Print a line as it is, however long, so that a path can be copied from it."""
    console.print(line, soft_wrap=True, markup=False, emoji=False, highlight=False)
