"""The command line: one small function per verb, each importing only what it needs.

Exit status: 0 fine, 1 findings, 2 wrong usage or unreadable input, 3 the environment failed.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from optdsl import terminal
from optdsl.version import __version__

if TYPE_CHECKING:
    from optdsl.ir.nodes import Rule
    from optdsl.jobs import Found
    from optdsl.rewriting import Rewritten
    from optdsl.source import SourceFile

FINDINGS, USAGE, ENVIRONMENT = 1, 2, 3

VIEWS = ("math", "latex", "tree", "kernel", "numpy", "c", "asm", "json")
FORMATS = ("full", "concise", "json", "sarif")
FOR_MACHINES = ("json", "sarif")


class Failure(click.ClickException):
    """A failure of the environment, told in one line."""

    exit_code = ENVIRONMENT

    def show(self, file: Any = None) -> None:
        click.echo(f"optdsl: {self.message}", err=True)


class Group(click.Group):
    """The program: verbs in the order they are written here, and no traceback for any input."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with warnings.catch_warnings():
                warnings.showwarning = terminal.show_warning
                return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except BrokenPipeError:
            # Whoever read our output has seen enough; Python must not complain about it at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise click.exceptions.Exit(0) from None
        except Exception as error:
            _show_findings(error)
            if os.environ.get("OPTDSL_BACKTRACE", "") not in ("", "0"):
                raise
            raise _failure(error) from error


class UsageFailure(Failure):
    """An error in what the caller asked for."""

    exit_code = USAGE


def _show_findings(error: Exception) -> None:
    """Report a rule that turned out wrong after it was checked, such as one of a type no target has yet."""
    if "optdsl.diagnostics" not in sys.modules:
        return
    from optdsl.diagnostics import CompileError, render

    if isinstance(error, CompileError):
        click.echo(render(error.source, error.problems, color=terminal.use_color()), err=True)
        raise click.exceptions.Exit(FINDINGS) from None


def _failure(error: Exception) -> click.ClickException:
    """Return the one line that tells of an error that no verb expected."""
    from optdsl.runtime.toolchain import ToolchainError

    hint = "; OPTDSL_BACKTRACE=1 shows where"
    if isinstance(error, ToolchainError):
        return Failure(str(error))
    if isinstance(error, FileNotFoundError):
        return UsageFailure(str(error) if error.errno is None else f"{error.filename}: {error.strerror}")
    if isinstance(error, OSError) and error.errno is None:
        return Failure(str(error))
    if isinstance(error, OSError):
        return Failure(f"{error.filename or 'the system'}: {error.strerror or error}")
    return Failure(f"internal error: {type(error).__name__}: {error}{hint}")


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "-V", "--version", prog_name="optdsl", message="%(prog)s %(version)s")
def main() -> None:
    """Optimizer rules as equations, compiled to NumPy and C.

    A rule is a small .opt file with the box of equations from a paper. FILE is such a file, - for standard input; NAME
    is a bundled rule such as adam or flux/adam (see `optdsl list`).
    """


# Reading


def _source(name: str, bundled: bool = False) -> SourceFile:
    """Return the text behind a FILE or, where allowed, a NAME; what can't be read is wrong usage."""
    from optdsl.loading import find
    from optdsl.source import MOST_BYTES, SourceFile, decode, read

    try:
        if name == "-":
            return SourceFile("<stdin>", decode(sys.stdin.buffer.read(MOST_BYTES), "<stdin>"))
        return read(find(name) if bundled else Path(name))
    except OSError as error:
        raise UsageFailure(_unreadable(name, error)) from None
    except ValueError as error:
        raise UsageFailure(str(error)) from None


def _unreadable(name: str, error: OSError) -> str:
    """Return why a file can't be read; a bundled rule is told from a missing file."""
    from optdsl import bundled

    if error.errno is None:
        return str(error)
    path = bundled.path(name) if isinstance(error, FileNotFoundError) else None
    return f"{name}: {error.strerror}" + ("" if path is None else f"; the bundled rule is {path}")


def _sources(names: Sequence[str]) -> tuple[list[SourceFile], list[Failure]]:
    """Return the texts that can be read, each once, and why the others can't."""
    if list(names).count("-") > 1:
        raise UsageFailure("standard input can be read only once: name `-` once")
    sources, failures = [], []
    for name in names:
        try:
            files = _expand([name])
        except Failure as failure:
            failures.append(failure)
            continue
        for file in files:
            try:
                sources.append(_source(file))
            except Failure as failure:
                failures.append(failure)
    return list({source.name: source for source in sources}.values()), failures


def _expand(names: Sequence[str]) -> list[str]:
    """Replace each folder by the rule files in it."""
    found: list[str] = []
    for name in names:
        if name != "-" and Path(name).is_dir():
            inside = sorted(str(path) for path in Path(name).rglob("*.opt"))
            if not inside:
                raise UsageFailure(f"{name}: no .opt file in this folder")
            found += inside
        else:
            found.append(name)
    return found


format_option = click.option(
    "--output-format", type=click.Choice(FORMATS), default="full", show_default=True, help="How findings are written."
)
strict_option = click.option("--strict", is_flag=True, help="Let warnings fail, too.")
jobs_option = click.option(
    "-j", "--jobs", type=click.IntRange(1), metavar="N",
    help="Processes for many files. [default: the processors this one may run on]",
)  # fmt: skip
exact_option = click.option("--exact", is_flag=True, help="Keep the author's form of every equation.")


@main.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@strict_option
@format_option
@click.option("-w", "--watch", is_flag=True, help="Check again whenever a file changes, until Ctrl-C.")
@click.option("--seconds", type=click.FloatRange(0), metavar="N",
              help="Processor time for the checks of a file and the proofs of its claims. [1 and 30]")  # fmt: skip
@jobs_option
def check(
    files: tuple[str, ...], strict: bool, output_format: str, watch: bool, seconds: float | None, jobs: int | None
) -> None:
    """Look for mistakes in rules.

    FILE may be a folder, whose .opt files are checked. Findings go to standard error, as JSON and SARIF to standard
    output. Exits with 1 where there are errors. `optdsl explain SLUG` tells more about a finding.
    """
    if watch:
        _watch(files, output_format, seconds)
    results, readable = _check(files, output_format, jobs, seconds)
    if not readable:
        raise click.exceptions.Exit(USAGE)
    raise click.exceptions.Exit(FINDINGS if terminal.failed(results, strict) else 0)


@contextmanager
def _done(
    function: Callable[[Any], Any], items: Sequence[Any], title: str, jobs: int | None
) -> Iterator[Iterable[Any]]:
    """Give the results of a function over some items, worked out by processes under a progress bar."""
    from optdsl import workers
    from optdsl.runtime.kernel import processors

    results = workers.each(function, items, processors() if jobs is None else jobs)
    with closing(results), terminal.progress(results, title, len(items)) as shown:
        yield shown


def _check(
    files: Sequence[str], output_format: str, jobs: int | None, seconds: float | None
) -> tuple[list[Found], bool]:
    """Check files and report on them; return what was found, and whether every file could be read."""
    from functools import partial

    from optdsl.jobs import check

    sources, unreadable = _sources(files)
    with _done(partial(check, seconds=seconds), sources, "checking", jobs) as found:
        results = list(found)
    terminal.report(results, output_format)
    for failure in unreadable:
        failure.show()
    clean = not unreadable and not any(result.problems for result in results)
    if clean and output_format not in FOR_MACHINES:
        click.echo(f"Checked {terminal.count(len(results), 'file')}: no findings.")
    return results, not unreadable


def _watch(files: Sequence[str], output_format: str, seconds: float | None) -> NoReturn:
    """Check files again and again; return only by an exit. What can't be read may come back, but for the first time."""
    from optdsl import watch

    if "-" in files:
        raise click.UsageError("--watch needs files: standard input is read only once")
    if output_format in FOR_MACHINES:
        raise click.UsageError(f"--watch writes findings for people: --output-format {output_format} goes without it")
    parts: list[str] = []
    first = True
    try:
        while True:
            terminal.begin_run()
            before = watch.stamps(files, parts)
            results, readable = _check(files, output_format, 1, seconds)
            if first and not readable:
                raise click.exceptions.Exit(USAGE)
            parts = [name for result in results for _, name in result.source.later]
            first = False
            click.echo("Watching for changes; Ctrl-C stops.", err=True)
            watch.wait(files, parts, before)
    except KeyboardInterrupt:
        raise click.exceptions.Exit(0) from None


@main.command("compile")
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option("-t", "--target", default="numpy", show_default=True, metavar="numpy|c", help="What to generate.")
@click.option("-o", "--output", "folder", default="build", show_default=True, type=click.Path(file_okay=False),
              metavar="DIR", help="Where to write.")  # fmt: skip
@exact_option
@strict_option
@format_option
@jobs_option
def compile_(
    files: tuple[str, ...], target: str, folder: str, exact: bool, strict: bool, output_format: str, jobs: int | None
) -> None:
    """Write an importable module DIR/<stem>.py for each rule.

    With -t c, also DIR/<stem>.c and the library built from it. Prints what was written. FILE may be a bundled NAME.
    Looks for mistakes first; claims are left to `optdsl check`.
    """
    from optdsl.building import place
    from optdsl.jobs import Job, check_once
    from optdsl.jobs import compile_ as compile_one
    from optdsl.runtime import cache

    _expect_target(target)
    cache.expect_usable()
    sources = [_source(name, bundled=True) for name in _expand(files)]
    stems = _stems(sources)
    with _done(check_once, sources, "checking", jobs) as found:
        results = list(found)
    terminal.report(results, output_format)
    if terminal.failed(results, strict):
        raise click.exceptions.Exit(FINDINGS)
    wanted = [Job(source, stem, target, exact) for source, stem in zip(sources, stems, strict=True)]
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        with _done(compile_one, wanted, "compiling", jobs) as made:
            for contents in made:
                for path in place(Path(folder), contents):
                    if output_format not in FOR_MACHINES:
                        click.echo(str(path))
    except BrokenPipeError:
        raise
    except OSError as error:
        raise Failure(f"{error.filename or folder}: {error.strerror or error}") from None


def _expect_target(target: str) -> None:
    """Refuse a target that there isn't; the usual ones are known without loading any."""
    from optdsl.loading import TARGETS

    if target not in TARGETS or target == "auto":
        from optdsl import targets

        if target not in targets.names():
            raise click.BadParameter(f"{target!r} is not one of {', '.join(targets.names())}", param_hint="--target")


def _stems(sources: Sequence[SourceFile]) -> list[str]:
    """Return the name of the module for each file; two that would overwrite each other are wrong usage."""
    from optdsl.loading import module_stem

    stems = [module_stem("rule" if source.name == "<stdin>" else Path(source.name).stem) for source in sources]
    for index, stem in enumerate(stems):
        if stem in stems[:index]:
            first = sources[stems.index(stem)].name
            both = f"{first} and {sources[index].name}"
            raise UsageFailure(f"{both} would both be written to {stem}.py; compile them into different folders")
    return stems


@main.command()
@click.argument("rule", metavar="FILE|NAME")
@click.option("--as", "view", type=click.Choice(VIEWS), default="math", show_default=True, help="The view to show.")
@exact_option
@click.option("--bandwidth", type=float, default=20.0, show_default=True, metavar="GB/s",
              help="Memory bandwidth that the step time of the view math is told for.")  # fmt: skip
def show(rule: str, view: str, exact: bool, bandwidth: float) -> None:
    """Show one view of a rule: its mathematics, what it compiles to, or what it costs."""
    from optdsl import pipeline
    from optdsl.show import VIEWS as VIEW_FUNCTIONS
    from optdsl.show import math

    if not 0 < bandwidth < float("inf"):
        raise UsageFailure(f"--bandwidth {bandwidth:g} is no number of GB/s above 0")
    source = _source(rule, bundled=True)
    analysed = pipeline.analyse(source)
    if analysed.rule is None:
        terminal.report([analysed], "full")
        raise click.exceptions.Exit(FINDINGS)
    if view == "math":
        click.echo(math(source, analysed.rule, exact, bandwidth))
    else:
        click.echo(VIEW_FUNCTIONS[view](source, analysed.rule, exact))


@main.command()
@click.argument("rule", metavar="NAME|FILE")
@click.option("--when", multiple=True, metavar="'NAME=VALUE and ...'", help="Hyperparameters held at a value.")
@click.option("--plot", type=click.Path(dir_okay=False), metavar="FILE", help="Draw the region into a file.")
def stability(rule: str, when: tuple[str, ...], plot: str | None) -> None:
    """Say for which learning rates a rule is stable on a quadratic.

    On f(x) = h*x^2/2 the gradient is h*x. Where the step is linear in the parameter and the states, as those of
    momentum are, the region in (lr, h) is exact; for other rules it is found by simulation.
    """
    from optdsl.stability.command import run as examine

    found = _rule(rule)
    try:
        click.echo(examine(found, when, plot))
    except ValueError as error:
        raise UsageFailure(str(error)) from None
    except ImportError as error:
        raise Failure(str(error)) from None


@main.command()
@click.argument("slug", required=False)
def explain(slug: str | None) -> None:
    """Explain a finding: what it means, why it matters, a rule that has it and its mend.

    SLUG is the word in brackets after `error` or `warning`. Without it, all findings are listed.
    """
    from optdsl import explain as pages

    if slug is None:
        rows = [(page.slug, page.severity, page.statement) for page in map(pages.page, pages.slugs())]
        terminal.table(("finding", "severity", "what it says"), rows)
        return
    try:
        terminal.show_page(pages.page(slug).markdown)
    except ValueError as error:
        raise UsageFailure(str(error)) from None


@main.command()
@click.argument("first", metavar="FILE|NAME")
@click.argument("second", metavar="FILE|NAME")
@click.option("--when", multiple=True, metavar="NAME=VALUE", help="Fix a hyperparameter of either, as `momentum=0.9`.")
@click.option("--with", "given", multiple=True, metavar="NAME=NAME",
              help="Take a hyperparameter of the second equal to one of the first, as `momentum=rho`.")  # fmt: skip
@click.option("--steps", type=click.IntRange(1, 16), default=4, show_default=True, metavar="N",
              help="Steps to compare.")  # fmt: skip
def diff(first: str, second: str, when: tuple[str, ...], given: tuple[str, ...], steps: int) -> None:
    """Prove that two rules are the same, or show where they part.

    Hyperparameters of one name are taken equal; others of the second rule have their defaults. Exits with 0 where the
    rules are proved to be the same, else with 1.
    """
    from optdsl.diff import difference
    from optdsl.settings import parse_pairs, parse_settings

    if first == second == "-":
        raise UsageFailure("standard input can be read only once: name a file for one of the two")
    rules = [_rule(name) for name in (first, second)]
    try:
        same, text = difference(rules[0], rules[1], parse_settings(when), parse_pairs(given), steps, (first, second))
    except ValueError as error:
        raise UsageFailure(str(error)) from None
    click.echo(text)
    raise click.exceptions.Exit(0 if same else FINDINGS)


def _rule(name: str) -> Rule:
    """Return the rule of a FILE or NAME; findings end the program."""
    from optdsl import pipeline

    analysed = pipeline.analyse(_source(name, bundled=True))
    if analysed.rule is None:
        terminal.report([analysed], "full")
        raise click.exceptions.Exit(FINDINGS)
    return analysed.rule


@main.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option("--check", is_flag=True, help="Write nothing; name the files that would change, and exit with 1.")
@click.option("--diff", is_flag=True, help="Write nothing; show what would change, and exit with 1 if anything would.")
@click.option("--unicode", is_flag=True, help="Use Greek letters and mathematical signs.")
def fmt(files: tuple[str, ...], check: bool, diff: bool, unicode: bool) -> None:
    """Bring rules into the canonical layout; comments are kept.

    FILE may be a folder, whose .opt files are formatted, or - to format standard input to standard output. Names and
    signs become ASCII, or with --unicode the other way round. A file with syntax errors stays as it is.
    """
    from optdsl import rewriting

    sources, unreadable = _sources(files)
    with terminal.progress(sources, "formatting", len(sources)) as items:
        results = [rewriting.rewritten(source, unicode=unicode) for source in items]
    terminal.report(results, "full")
    for failure in unreadable:
        failure.show()
    changed = [result for result in results if result.changes]
    for result in results:
        _rewrite(result, check=check, diff=diff)
    if files != ("-",) or check or diff:
        same = sum(not result.problems for result in results) - len(changed)
        _say_what_changed(len(changed), same, only_looked=check or diff, aside=diff or "-" in files)
    if unreadable:
        raise click.exceptions.Exit(USAGE)
    found = any(result.problems for result in results) or (changed and (check or diff))
    raise click.exceptions.Exit(FINDINGS if found else 0)


def _rewrite(result: Rewritten, *, check: bool, diff: bool) -> None:
    """Write one formatted file, or show or say what would change in it."""
    from optdsl import rewriting

    name = result.source.name
    if diff:
        click.echo(result.difference(), nl=False)
    elif check:
        if result.changes:
            click.echo(f"Would reformat: {name}")
    elif name == "<stdin>":
        click.echo(result.text if not result.problems else "", nl=False)
    elif result.changes:
        try:
            rewriting.write(Path(name), result.text)
        except OSError as error:
            raise Failure(f"{name}: {error.strerror or error}") from None


def _say_what_changed(changed: int, same: int, *, only_looked: bool, aside: bool) -> None:
    """Say how many files were reformatted, or would be; `aside`, on standard error, beside other output."""
    words = ("would be reformatted", "already formatted") if only_looked else ("reformatted", "left unchanged")
    counts = zip((changed, same), words, strict=True)
    parts = [f"{terminal.count(number, 'file')} {what}" for number, what in counts if number]
    if parts:
        click.echo(", ".join(parts), err=aside)


@main.command()
@click.argument("rule", metavar="NAME|FILE")
@click.option(
    "--on", default="digits", show_default=True, help="The data set `digits`, or a test function such as `rosenbrock`."
)
@click.option("--steps", type=click.IntRange(min=1), default=None, metavar="N", help="Steps to take.")
@click.option(
    "-O", "--option", "options", multiple=True, metavar="NAME=VALUE", help="An option of the rule, such as -O lr=0.1."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the first weights and of the batches.")
@click.option(
    "-t",
    "--target",
    type=click.Choice(["auto", "numpy", "c"]),
    default="auto",
    show_default=True,
    help="What to run on.",
)
@click.option(
    "--plot", type=click.Path(dir_okay=False), metavar="FILE", help="Draw the loss, or the path, into a file."
)
def run(
    rule: str, on: str, steps: int | None, options: tuple[str, ...], seed: int, target: str, plot: str | None
) -> None:
    """Train a small network on handwritten digits, or minimise a test function, with a rule."""
    _run_trial(rule, on=on, steps=steps, options=options, seed=seed, target=target, plot=plot)


def _run_trial(rule: str, **settings: Any) -> None:
    from optdsl.trials.command import run as run_trial

    try:
        converged = run_trial(rule, **settings)
    except FileNotFoundError as error:
        raise UsageFailure(str(error)) from None
    except (TypeError, ValueError) as error:
        raise UsageFailure(str(error)) from None
    except ImportError as error:
        raise Failure(str(error)) from None
    if not converged:
        raise click.exceptions.Exit(FINDINGS)


@main.command()
@click.argument("rules", metavar="[NAME|FILE]...", nargs=-1)
@click.option("--all", "every", is_flag=True, help="Time every bundled rule.")
@click.option("-t", "--target", "targets", multiple=True, metavar="numpy|c",
              help="A target to time; by default each that works here.")  # fmt: skip
@click.option("--against", metavar="PEER,...",
              help="Who to time beside: their names, all, or none. By default all that are installed but "
              "torch-compiled, which takes 10 seconds and more to compile: name it.")  # fmt: skip
@click.option("--size", "sizes", multiple=True, metavar="SIZE",
              help="Elements of one tensor (16M), COUNTxELEMENTS, gpt2 or resnet50. Both 1000x100 and 16M "
              "where none is given.")  # fmt: skip
@click.option("--gradients", type=click.Choice(["same", "fresh", "both"]), default="same", show_default=True,
              help="Gradients in the same arrays, in other arrays at every step, or one after the other.")  # fmt: skip
@click.option("--rounds", type=int, metavar="N", help="Samples of each; by default as many as fit into 3 seconds.")
@click.option("--threads", type=int, metavar="N", help="Threads to use; by default as many as there are cores.")
@click.option("--json", "json_file", type=click.Path(dir_okay=False), metavar="FILE", help="Keep the results.")
@click.option("--plot", "plot_file", type=click.Path(dir_okay=False), metavar="FILE", help="Draw the largest size.")
@click.option("--from", "read_from", metavar="FILE", help="Show and draw results that were kept, and time nothing.")
def bench(rules: tuple[str, ...], every: bool, read_from: str | None, **options: Any) -> None:
    """Time steps of rules beside other libraries' and beside the speed of memory.

    Without a NAME, a handful of rules that others have. The peers are torch-for, torch-foreach, torch-fused,
    torch-compiled, optax, numpy-hand, numpy-out and numba, where they are installed and have the rule, and floor, a
    kernel that moves the same bytes without arithmetic. Times are medians of samples interleaved in one run.
    """
    if every and rules:
        raise click.UsageError("--all times every bundled rule: name none beside it")
    if read_from is not None and (rules or every):
        raise click.UsageError("--from times nothing: name no rule beside it")
    _run_bench(rules, every, read_from, options)


def _run_bench(rules: Sequence[str], every: bool, read_from: str | None, options: dict[str, Any]) -> None:
    from optdsl import bundled
    from optdsl.bench import command, peers

    given = command.Options(**options)
    try:
        if read_from is not None:
            command.read_back(read_from, given)
            return
        names = bundled.names() if every else rules or peers.HANDFUL
        command.run([(name, _source(name, bundled=True)) for name in dict.fromkeys(names)], given)
    except ValueError as error:
        raise UsageFailure(str(error)) from None
    except ImportError as error:
        raise Failure(str(error)) from None


@main.command("list")
@click.argument("word", required=False, default="")
@click.option("--json", "as_json", is_flag=True, help="Write a JSON list of all rules, libraries' forms included.")
def list_(word: str, as_json: bool) -> None:
    """List the bundled rules by family: state per parameter, origin, what they do, libraries' forms.

    With WORD, only the rules that have it in their name, family or documentation: adam, keras/, sign.
    """
    import shutil

    from optdsl import catalogue, listing

    among = catalogue.entries()
    try:
        chosen = listing.chosen(among, word, forms=as_json)
    except ValueError as error:
        raise UsageFailure(str(error)) from None
    if as_json:
        click.echo(listing.as_json(chosen, among))
        return
    width = shutil.get_terminal_size((listing.WIDEST, 24)).columns if sys.stdout.isatty() else listing.WIDEST
    click.echo(listing.text(chosen, among, width, lambda words: click.style(words, bold=True)))


@main.command()
@click.argument("name")
@click.option("-f", "--force", is_flag=True, help="Overwrite an existing file.")
def new(name: str, force: bool) -> None:
    """Write NAME.opt, a commented starting file that compiles as it is."""
    from optdsl.template import text_for

    path = Path(name if name.endswith(".opt") else f"{name}.opt")
    try:
        text = text_for(path.stem)
    except ValueError as error:
        raise UsageFailure(str(error)) from None
    if path.exists() and not force:
        raise UsageFailure(f"{path} exists already; --force overwrites it")
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise Failure(f"{path}: {error.strerror or error}") from None
    click.echo(f"{path}\nNow try: optdsl check {path} && optdsl run {path} --on rosenbrock")


@main.command()
def doctor() -> None:
    """Say what works here: versions, compilers, targets, the cache."""
    from optdsl.doctor import findings

    rows = findings()
    terminal.table(("what", "state", "detail"), [(row.what, row.state, row.detail) for row in rows])
    if any(row.state == "broken" for row in rows):
        raise click.exceptions.Exit(ENVIRONMENT)


@main.group()
def cache() -> None:
    """Look at the cache of compiled rules, or empty it."""


@cache.command("dir")
def cache_dir() -> None:
    """Print the folder of the cache."""
    from optdsl.runtime import cache as store

    click.echo(str(store.folder()))


@cache.command("list")
def cache_list() -> None:
    """List the entries of the cache: name, files, bytes."""
    from optdsl.runtime import cache as store

    rows = []
    if store.folder().exists():
        with store.opened() as entries:
            for name, size in entries.sizes().items():
                rows.append((name[:12], ", ".join(entries.listing(name)) or "broken", f"{size:,}"))
    if rows:
        terminal.table(("entry", "files", "bytes"), rows)
    else:
        click.echo("the cache is empty", err=True)


@cache.command("clear")
def cache_clear() -> None:
    """Remove every entry of the cache."""
    from optdsl.runtime import cache as store

    number = store.clear()
    click.echo(f"removed {number} {'entry' if number == 1 else 'entries'} from {store.folder()}")
