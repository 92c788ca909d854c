"""Broken and hostile text: always a rule or a finding inside the file, never an exception, never a long wait."""

from __future__ import annotations

import random
import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from optdsl import bundled
from optdsl.cli import main
from optdsl.diagnostics import as_records, render, render_concise, render_json
from optdsl.pipeline import Checked, analyse
from optdsl.source import SourceFile
from optdsl.syntax.format import formatted
from optdsl.syntax.parser import parse

SECONDS = 10
MALFORMED = 300
HEAD = "rule R(x, g)\nhyper\n  lr = 0.1\n"


@contextmanager
def time_limit(seconds: int = SECONDS) -> Iterator[None]:
    """Raise TimeoutError where the body takes far too long."""

    def stop(signum: int, frame: object) -> None:
        raise TimeoutError(f"not done after {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def outcome(text: str) -> Checked:
    """Analyse a text, show its findings in every form and format it; check that findings lie inside the text."""
    with time_limit():
        checked = analyse(SourceFile("case.opt", text))
        source = checked.source  # with the rules it is made from
        formatted(SourceFile("case.opt", text))
        shown = render(source, checked.problems)
        render_json(as_records(source, checked.problems))
        lines = render_concise(source, checked.problems)
    assert (checked.rule is not None) != bool(checked.errors)
    assert len(lines.splitlines()) == len(checked.problems)
    for problem in checked.problems:
        start, end = problem.span
        assert 0 <= start <= end <= len(source.text)
        assert problem.message
        for note in problem.notes:
            assert 0 <= note.span[0] <= note.span[1] <= len(source.text)
        if problem.fix is not None:
            assert 0 <= problem.fix.span[0] <= problem.fix.span[1] <= len(source.text)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\ud800-\udfff]", shown)
    return checked


TOKEN = re.compile(r"\w+|\s+|[^\w\s]")
INSERTED = [
    *"()[]'\"=^*,:#<>!&|+-/.;$@{}²√′λ\n\t\r\x00\u202e\ufeff",
    "if ",
    " then ",
    " else ",
    "when ",
    "**",
    "&&",
    "in ",
    "update\n",
    "claim\n",
    "->",
    " for ",
    "with ",
    " steps",
    " from Adam",
]


def mutated(text: str, chance: random.Random) -> str:
    """Return a text with one small piece deleted, doubled, swapped or put in."""
    parts: list[str] = chance.choice([list(text), TOKEN.findall(text), text.splitlines(keepends=True)])
    place, other = chance.randrange(len(parts)), chance.randrange(len(parts))
    match chance.choice(["delete", "duplicate", "swap", "insert"]):
        case "delete":
            del parts[place]
        case "duplicate":
            parts.insert(other, parts[place])
        case "swap":
            parts[place], parts[other] = parts[other], parts[place]
        case _:
            parts.insert(place, chance.choice(INSERTED))
    return "".join(parts)


CLAIMS = """\
rule Fast(x, g) from Adam "Adam, and more."
hyper
  weight_decay = 1e-2 in [0, inf) "decay"
update
  x' = base - lr*weight_decay*x
claim # what holds
  equals Adam when weight_decay = 0 for 2 steps
  equals SGD with momentum = 0.5 and lr = (1 + 1) when lr = 0
  invariant g -> c*g and x -> x for c > 0 and c <= 2 when weight_decay = 0
  descends when weight_decay = 0
  still when lr = 0
"""
"""A rule with every kind of claim, made from another."""


def bundled_rules() -> dict[str, str]:
    """Return the texts of the bundled rules by name, and that of the rule above."""
    texts = {"claims": CLAIMS}
    for name in bundled.files():
        path = bundled.path(name)
        assert isinstance(path, Path)
        texts[name] = path.read_text(encoding="utf-8")
    return texts


RULES = bundled_rules()


def malformed(name: str, number: int) -> Iterator[str]:
    """Yield mutations of a rule that are refused; those that are still rules are looked at, too, and passed over."""
    chance = random.Random(name)
    for _ in range(20 * number):
        text = mutated(RULES[name], chance)
        if number and outcome(text).rule is None:
            number -= 1
            yield text


@pytest.mark.parametrize("name", RULES)
def test_a_mutated_rule_is_a_rule_or_has_findings(name: str) -> None:
    number = max(8, -(-MALFORMED // len(RULES)))
    found = list(malformed(name, number))
    assert len(found) == number
    for text in found[:3]:
        chance = random.Random(text)
        outcome(mutated(mutated(text, chance), chance))


def test_there_are_enough_mutations() -> None:
    assert len(RULES) * max(8, -(-MALFORMED // len(RULES))) >= MALFORMED
    assert sum("\nclaim" in text for text in RULES.values()) > 1
    assert sum(" from " in text.partition("update")[0] for text in RULES.values()) > 1


@pytest.mark.parametrize("name", ["claims", "adam", "flux/nadam"])
@pytest.mark.parametrize("verb", [["check"], ["check", "--output-format", "json"], ["fmt"], ["show"]])
def test_the_command_line_refuses_mutated_rules_without_a_traceback(name: str, verb: list[str], tmp_path: Path) -> None:
    for number, text in enumerate(malformed(name, 3)):
        path = tmp_path / f"{number}.opt"
        path.write_bytes(text.encode())
        result = CliRunner().invoke(main, [*verb, str(path)])
        assert isinstance(result.exception, SystemExit) or result.exception is None
        formats = verb == ["fmt"] and not parse(SourceFile("case.opt", text))[1]
        assert result.exit_code == (0 if formats else 1), text
        assert "Traceback" not in result.output
        assert "internal error" not in result.output


DEFS = "".join(f"def f{i}(a) = f{i - 1}(a) + f{i - 1}(a)\n" for i in range(1, 60))
CHAIN = "".join(f"  a{i + 1} = a{i} + g\n" for i in range(1000))
SHORT_CHAIN = "".join(f"  a{i + 1} = a{i} + g\n" for i in range(150))
CHOICES = "".join(f"  a{i + 1} = if h{i} then a{i} else -a{i}\n" for i in range(40))

HOSTILE = {
    "brackets": HEAD + "update\n  x' = " + "(" * 100_000 + "x" + ")" * 100_000 + "\n",
    "brackets-within-the-limit": HEAD + "update\n  x' = " + "(" * 30_000 + "x" + ")" * 29_999 + "\n",
    "open-brackets": HEAD + "update\n  x' = " + "[(" * 20_000,
    "closed-brackets": HEAD + "update\n  x' = x" + ")" * 50_000,
    "minus-signs": HEAD + "update\n  x' = " + "-" * 50_000 + "x\n",
    "not-signs": HEAD + "update\n  x' = if " + "not " * 12_000 + "true then x else g\n",
    "roots": HEAD + "update\n  x' = " + "√" * 30_000 + "x\n",
    "powers": HEAD + "update\n  x' = x" + "^2" * 20_000 + "\n",
    "long-line": HEAD + "update\n  x' = x" + " " * 1_000_000 + "\n",
    "long-comment": "#" * 1_000_000,
    "long-name": HEAD + "update\n  x' = " + "a" * 60_000 + "\n",
    "sum": HEAD + "update\n  x' = x" + " + g" * 20_000 + "\n",
    "small-sum": HEAD + "update\n  x' = x" + "+g" * 30_000 + "\n",
    "calls": HEAD + "update\n  x' = " + "abs(" * 10_000 + "x" + ")" * 10_000 + "\n",
    "choices": HEAD + "update\n  x' = " + "if g>0 then x el" * 3_000 + "\n",
    "elifs": HEAD + "update\n  x' = if g>0 then x" + " elif g>1 then g" * 3_000 + " else x\n",
    "exponential-functions": HEAD + "def f0(a) = a\n" + DEFS + "update\n  x' = f59(x)\n",
    "exponential-functions-unused": HEAD + "def f0(a) = a\n" + DEFS + "update\n  x' = x\n",
    "exponential-blends": HEAD + "update\n  x' = " + "lerp(" * 30 + "x" + ", 1, 2)" * 30 + "\n",
    "exponential-blends-within-a-norm": HEAD + "update\n  x' = x*norm(" + "lerp(" * 30 + "x" + ", 1, 2)" * 30 + ")\n",
    "exponential-powers": "rule R(x, g)\nhyper\n  lr = " + "(" * 30 + "2" + "^64)" * 30 + "\nupdate\n  x' = x - lr*g\n",
    "deep-functions": HEAD + "def f0(a) = a\n" + "".join(f"def f{i}(a) = f{i - 1}(a) + 1\n" for i in range(1, 390))
    + "update\n  x' = f389(x)\n",
    "deep-arguments": HEAD + "def f(a) = " + "-" * 99 + "a\nupdate\n  x' = " + "f(" * 99 + "x" + ")" * 99 + "\n",
    "chain": HEAD + "update\n  a0 = g\n" + CHAIN + "  x' = x - a1000\n",
    "chain-within-the-lines": HEAD + "update\n  a0 = g\n" + SHORT_CHAIN + "  x' = x - a150\n",
    "cycle": HEAD + "update\n" + "".join(f"  a{i} = a{(i + 1) % 300}\n" for i in range(300)) + "  x' = x - a0\n",
    "power-tower": "rule R(x, g)\nhyper\n  lr = 9^9^9^9 in [0, 1]\nupdate\n  x' = x - lr*g\n",
    "big-exponent": HEAD + "update\n  x' = x*1e400\n",
    "huge-exponent": HEAD + "update\n  x' = x*1e999999999999999999999\n",
    "huge-negative-exponent": HEAD + "update\n  x' = x*1e-99999999999999999\n",
    "long-literal": HEAD + "update\n  x' = x*" + "9" * 400 + "\n",
    "long-fraction": HEAD + "update\n  x' = x*0." + "9" * 5_000 + "\n",
    "long-superscript": HEAD + "update\n  x' = x" + "²" * 5_000 + "\n",
    "nul": HEAD + "update\n  x' = x\x00\n",
    "nul-in-doc": HEAD + 'update\n  x\' = x "a\x00b"\n',
    "surrogate": HEAD + "update\n  x' = x*\ud800\n",
    "surrogate-in-comment": HEAD + "update\n  x' = x # \udcff\n",
    "surrogate-in-doc": 'rule R(x, g)\n  "\ud83d"\nupdate\n  x\' = x\n',
    "odd-blanks": HEAD + "update\n  x'\x0b=\x1c x\u2028\u3000- lr\u00a0*\x85g\n",
    "newlines": "\n" * 60_000,
    "many-newlines": "\n" * 1_000_000,
    "blanks": " \t" * 30_000,
    "quotes": '"' * 60_000,
    "many-mistakes": HEAD + "update\n" + "  a = $\n" * 390 + "  x' = x\n",
    "many-lines": HEAD + "update\n" + "".join(f"  a{i} = g\n" for i in range(5_000)) + "  x' = x\n",
    "many-duplicates": HEAD + "update\n" + "  a = g\n" * 380 + "  x' = x\n",
    "many-conditions": HEAD + "state\n" + "".join(f"  s{i} = 0 when lr > {i}\n" for i in range(100))
    + "update\n  x' = x\n",
    "many-cases": "rule R(x, g)\nhyper\n" + "".join(f"  h{i} = true\n" for i in range(40)) + "state\n  m = 0 when "
    + " and ".join(f"h{i}" for i in range(40)) + "\nupdate\n  a0 = g\n" + CHOICES + "  m' = m\n  x' = x - a40\n",
    "unclosed-doc-lines": HEAD + 'update\n  "\n' * 390,
    "sections": "update\n" * 20_000,
    "rules": "rule R(x, g)\n" * 4_000,
    "binary": "".join(chr(code) for code in range(0x500)),
    "empty": "",
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_is_refused_quickly(name: str) -> None:
    checked = outcome(HOSTILE[name])
    assert checked.rule is None
    assert len(checked.problems) <= 400


@pytest.mark.parametrize(
    "name",
    ["brackets", "minus-signs", "small-sum", "calls", "chain", "exponential-functions", "exponential-blends",
     "big-exponent", "long-literal", "many-conditions", "many-cases", "deep-functions", "deep-arguments",
     "exponential-powers", "chain-within-the-lines", "long-superscript"],
)  # fmt: skip
def test_a_limit_is_named(name: str) -> None:
    problems = outcome(HOSTILE[name]).problems
    assert any(problem.slug == "too-complex" and "the limit is" in problem.message for problem in problems)


def test_what_is_within_the_limits_is_accepted() -> None:
    lines = "".join(f"  a{i + 1} = a{i} + g\n" for i in range(90))
    text = f"{HEAD}update\n  a0 = g\n{lines}  x' = {'(' * 900}x{')' * 900} - lr*a90{' + g' * 5}\n"
    assert outcome(text).rule is not None


def test_the_guard_can_fail() -> None:
    with pytest.raises(TimeoutError), time_limit(1):
        time.sleep(30)
