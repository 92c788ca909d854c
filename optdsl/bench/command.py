"""What `optdsl bench` does: time rules beside their peers, and tell, keep and draw what came of it."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import click
from rich.console import Console

from optdsl import bundled, pipeline, targets
from optdsl.bench import machine, pair, peers, plot, report, results, sizes, streams
from optdsl.loading import load_source
from optdsl.runtime import toolchain
from optdsl.runtime.optimizer import Optimizer
from optdsl.runtime.wording import suggestion
from optdsl.source import SourceFile
from optdsl.terminal import count

SEED = 0
MOST_THREADS = 64


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for besides the rules; None and nothing stand for the usual."""

    targets: Sequence[str] = ()
    against: str | None = None
    sizes: Sequence[str] = ()
    gradients: str = "same"
    rounds: int | None = None
    threads: int | None = None
    json_file: str | None = None
    plot_file: str | None = None


def run(sources: Sequence[tuple[str, SourceFile]], options: Options, console: Console | None = None) -> None:
    """Time rules, each with the name it was asked for by, and print a table of each as soon as it is there.

    Raises:
        ValueError: A size, peer, target, file or number that can't be.
        ToolchainError: No C compiler works, and the target C was asked for by name.
        CompileError: A rule has errors.
        PlotError: A picture was asked for, and matplotlib is missing.
        OSError: A file can't be written.
    """
    console = console or Console()
    measured = [sizes.parse(text) for text in dict.fromkeys(options.sizes or sizes.USUAL)]
    against, left_out = peers.asked(options.against)
    chosen, absent = _targets(options.targets)
    left_out += absent
    _check_files(options)
    kinds = [kind == "fresh" for kind in ("same", "fresh") if options.gradients in (kind, "both")]
    with machine.limited(options.threads), _progress() as say:
        about = machine.describe()
        report.say(console, report.about(about))
        for line in left_out:
            report.say(console, line)
        rows: list[results.Row] = []
        subjects = [_subject(name, source, chosen, say) for name, source in sources]
        say("")
        for subject in subjects:
            _check_memory(subject, measured, against, any(kinds))
        for subject in subjects:
            for size in measured:
                for fresh in kinds:
                    found, without = pair.run(
                        subject, size, against, fresh=fresh, rounds=options.rounds, seed=SEED,
                        say=partial(_say_of, say, f"{subject.name} {size.name}"),
                    )  # fmt: skip
                    say("")
                    rows += found
                    report.show_pair(console, found)
                    for line in (line for line in without if line not in left_out):
                        report.say(console, f"  {line}")
                        left_out.append(line)
    command = shlex.join(["optdsl", *sys.argv[1:]])
    _keep(results.Results(about, command, tuple(rows), tuple(left_out)), options, console)


def read_back(file: str, options: Options, console: Console | None = None) -> None:
    """Print and draw results that were kept in a file. Raises as `run` does, and ValueError for another file."""
    console = console or Console()
    _check_files(options)
    found = results.read(Path(file))
    report.show(console, found)
    _keep(found, options, console)


def _say_of(say: Callable[[str], None], what: str, line: str) -> None:
    say(f"{what}: {line}")


def _keep(found: results.Results, options: Options, console: Console) -> None:
    if options.json_file is not None:
        Path(options.json_file).write_text(found.text(), encoding="utf-8")
        report.say(console, f"\nresults: {options.json_file}")
    if options.plot_file is not None:
        plot.draw(found, options.plot_file)
        report.say(console, f"picture: {options.plot_file}")


def _check_files(options: Options) -> None:
    """Raise before the work where its results could not be written."""
    if options.rounds is not None and options.rounds < 1:
        raise ValueError(f"--rounds {options.rounds} is below 1")
    if options.threads is not None and not 1 <= options.threads <= MOST_THREADS:
        raise ValueError(f"--threads {options.threads} is not from 1 to {MOST_THREADS}")
    for file in (options.json_file, options.plot_file):
        if file is not None and not Path(file).parent.is_dir():
            raise ValueError(f"there is no folder {Path(file).parent} to write {Path(file).name} to")
        if file is not None and Path(file).is_dir():
            raise ValueError(f"{file} is a folder")
    if options.plot_file is not None:
        plot.check(options.plot_file)


def _targets(asked: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the targets to time, C first, and a line about each that doesn't work here though it wasn't asked for."""
    known = sorted(targets.names(), key=lambda name: (name != "c", name))
    for name in asked:
        if name not in known:
            raise ValueError(f"there is no target {name!r}{suggestion(name, known)} (of {', '.join(known)})")
    chosen = [name for name in known if name in asked or not asked]
    if "c" in chosen:
        try:
            toolchain.find_compiler()
        except toolchain.ToolchainError as error:
            if asked:
                raise
            return [name for name in chosen if name != "c"], [f"c left out: {error}"]
    return chosen, []


def _subject(name: str, source: SourceFile, chosen: Sequence[str], say: Callable[[str], None]) -> pair.Subject:
    """Return a rule compiled for the targets."""
    say(f"compiling {name}")
    rule = pipeline.rule_of(source)
    compiled: dict[str, type[Optimizer]] = {}
    for target in chosen:
        compiled[target] = load_source(source, Path(source.name).stem.strip("<>"), target, False)
    known = bundled.name_of(source.name) if Path(source.name).is_file() else None
    return pair.Subject(name, known, streams.streams(rule), compiled)


def _check_memory(subject: pair.Subject, measured: Sequence[sizes.Size], against: Sequence[peers.Peer],
                  fresh: bool) -> None:  # fmt: skip
    """Raise ValueError where a measurement would not fit into memory."""
    available = machine.memory()
    contestants = len(pair.having(subject, against)) + len(subject.compiled)
    who = count(contestants, "contestant")
    for size in measured:
        needed = pair.needed(subject, size, contestants, fresh)
        if available is not None and needed > 0.95 * available:
            raise ValueError(
                f"{subject.name} at {size.name} takes about {needed / 2**30:.1f} GiB with {who}, "
                f"and {available / 2**30:.1f} GiB are free; name fewer by --against and --target, or a smaller --size"
            )


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """Yield what says what is being done, in a line on standard error where that is a terminal; no words clear it."""
    # A bar of rich's draws itself from a thread of its own, in the middle of what is timed.
    if not sys.stderr.isatty():
        yield lambda line: None
        return

    def say(line: str) -> None:
        width = shutil.get_terminal_size().columns - 1
        click.echo(f"\r\x1b[2K{line[:width]}", err=True, nl=False)

    try:
        yield say
    finally:
        say("")
