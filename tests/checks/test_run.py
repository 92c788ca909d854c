"""All checks together: found by listing, in order, silent on good rules."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import optdsl
from optdsl import allow, checks
from optdsl.diagnostics import Problem, in_order
from optdsl.ir.nodes import Rule
from optdsl.pipeline import analyse
from optdsl.source import SourceFile

Findings = Callable[[str], list[Problem]]
Load = Callable[[str], Rule]

RULES = Path(optdsl.__file__).parent.parent / "rules"
BUNDLED = sorted(RULES.rglob("*.opt"))

SAMPLES = {
    "adam": """rule Adam(x, g)
hyper
  lr    = 1e-3   in [0, inf)
  beta1 = 0.9    in [0, 1)
  beta2 = 0.999  in [0, 1)
  eps   = 1e-8   in [0, inf)
state
  m = 0
  v = 0
update
  m' = beta1*m + (1 - beta1)*g
  v' = beta2*v + (1 - beta2)*g^2
  mhat = m' / (1 - beta1^t)
  vhat = v' / (1 - beta2^t)
  x' = x - lr * mhat / (sqrt(vhat) + eps)
""",
    "lion": """rule Lion(x, g)
hyper
  lr           = 1e-4  in [0, inf)
  beta1        = 0.9   in [0, 1)
  beta2        = 0.99  in [0, 1)
  weight_decay = 0     in [0, inf)
state
  m = 0
update
  m' = ema(m, g, beta2)
  x' = x - lr*(sign(ema(m, g, beta1)) + weight_decay*x)
""",
    "rprop": """rule Rprop(x, g)
hyper
  lr        = 1e-2  in [0, inf)
  eta_minus = 0.5   in (0, 1)
  eta_plus  = 1.2   in (1, inf)
  step_min  = 1e-6  in [0, inf)
  step_max  = 50    in (0, inf)
state
  prev = 0
  step = lr
update
  s     = g*prev
  k     = if s > 0 then eta_plus elif s < 0 then eta_minus else 1
  step' = clip(step*k, step_min, step_max)
  d     = if s < 0 then 0 else g
  prev' = d
  x'    = x - step'*sign(d)
""",
    "sgd": """rule SGD(x, g)
hyper
  lr           = 1e-3   in [0, inf)
  momentum     = 0      in [0, inf)
  dampening    = 0
  weight_decay = 0      in [0, inf)
  nesterov     = false
  maximize     = false
state
  b = 0 when momentum != 0
update
  s  = if maximize then -g else g
  d  = if weight_decay != 0 then s + weight_decay*x else s
  b' = if t == 1 then d else momentum*b + (1 - dampening)*d
  u  = if momentum == 0 then d elif nesterov then d + momentum*b' else b'
  x' = x - lr*u
""",
    "nadam": """rule NAdam(x, g)
hyper
  lr             = 2e-3   in [0, inf)
  beta1          = 0.9    in [0, 1)
  beta2          = 0.999  in [0, 1)
  eps            = 1e-8   in [0, inf)
  momentum_decay = 4e-3   in [0, inf)
state
  m = 0
  v = 0
  prod: scalar = 1
def mu(k) = beta1*(1 - 0.5*0.96^(k*momentum_decay))
update
  prod' = prod*mu(t)
  m' = ema(m, g, beta1)
  v' = ema(v, g^2, beta2)
  d  = sqrt(debias(v', beta2)) + eps
  x' = x - lr*(1 - mu(t))/(1 - prod')*g/d - lr*mu(t + 1)/(1 - prod'*mu(t + 1))*m'/d
""",
    "lamb": """rule LAMB(x, g)
hyper
  lr           = 1e-3   in [0, inf)
  beta1        = 0.9    in [0, 1)
  beta2        = 0.999  in [0, 1)
  eps          = 1e-6   in [0, inf)
  weight_decay = 0      in [0, inf)
state
  m = 0
  v = 0
update
  m' = ema(m, g, beta1)
  v' = ema(v, g^2, beta2)
  u  = debias(m', beta1) / (sqrt(debias(v', beta2)) + eps) + weight_decay*x
  nx = norm(x)
  nu = norm(u)
  trust = if nx > 0 and nu > 0 then nx/nu else 1
  x' = x - lr*trust*u
""",
}

WRONG = """rule Wrong(x, g)
hyper
  lr           = 1e-3  in [0, inf)
  weight_decay = 1e-2  in [0, inf)
  spare        = 2
state
  v = 0
  w = 0
update
  v'   = v + g^2
  w'   = w + g
  idle = g + 1
  x'   = x + lr*g/sqrt(v') - weight_decay*x
"""


def test_there_are_bundled_rules() -> None:
    assert len(BUNDLED) > 20


@pytest.mark.parametrize("path", BUNDLED, ids=lambda path: str(path.relative_to(RULES)))
def test_bundled_rules_have_no_findings(path: Path) -> None:
    analysed = analyse(SourceFile(str(path), path.read_text("utf-8")))
    assert analysed.rule is not None
    assert allow.apply(analysed.source, analysed.tree, checks.run(analysed.rule)) == []


def test_only_what_is_meant_so_is_silenced() -> None:
    """What a bundled rule allows is true of it: its library computes it so, or the rule is about that."""
    silenced = {
        path.name: allowed[1] for path in BUNDLED if (allowed := path.read_text("utf-8").split("# allow: "))[1:]
    }
    assert {name: words.split()[0] for name, words in silenced.items()} == {
        "adamwi.opt": "moves-at-zero-lr",  # its decay doesn't ask for the learning rate
        "rmsprop.opt": "negative-radicand",
        "rmsproptf.opt": "negative-radicand",
        "srmm.opt": "moves-at-zero-lr",  # its library starts the mean of the parameters at 0
    }


@pytest.mark.parametrize("name", SAMPLES)
def test_samples_have_no_findings(name: str, findings: Findings) -> None:
    assert findings(SAMPLES[name]) == []


def test_all_checks_speak_in_the_order_of_the_source(findings: Findings) -> None:
    found = findings(WRONG)
    assert found == in_order(found)
    assert [problem.slug for problem in found] == [
        "unused-hyper", "unused-state", "unused-name", "ascends", "moves-at-zero-lr", "nonfinite-at-zero-gradient",
    ]  # fmt: skip


def test_findings_are_warnings_in_words(findings: Findings) -> None:
    for problem in findings(WRONG):
        assert problem.severity == "warning"
        assert problem.message
        assert problem.label
        assert problem.help
        assert "\n" not in problem.message
        start, end = problem.span
        assert 0 < start < end <= len(WRONG)


def test_every_module_is_a_check() -> None:
    package = Path(checks.__file__).parent
    names = sorted(path.stem for path in package.glob("[!_]*.py"))
    assert list(checks.checks()) == names


def test_findings_are_the_same_in_every_run() -> None:
    script = (
        "import sys\n"
        "from optdsl.checks import run\n"
        "from optdsl.diagnostics import render\n"
        "from optdsl.resolve import resolve\n"
        "from optdsl.source import SourceFile\n"
        "from optdsl.syntax.parser import parse\n"
        "source = SourceFile('r.opt', sys.stdin.read())\n"
        "rule, _ = resolve(source, parse(source)[0])\n"
        "print(render(source, run(rule)))\n"
    )
    shown = set()
    for seed in ("0", "1", "99"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(
            [sys.executable, "-c", script], input=WRONG, env=environment, capture_output=True, text=True, check=True,
            timeout=120,
        )  # fmt: skip
        shown.add(done.stdout)
    assert len(shown) == 1


def test_good_rules_need_no_computer_algebra() -> None:
    script = (
        "import sys\n"
        "from optdsl.checks import run\n"
        "from optdsl.resolve import resolve\n"
        "from optdsl.source import SourceFile\n"
        "from optdsl.syntax.parser import parse\n"
        "source = SourceFile('r.opt', sys.stdin.read())\n"
        "run(resolve(source, parse(source)[0])[0])\n"
        "print('sympy' in sys.modules)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", script], input=SAMPLES["adam"], env=environment, capture_output=True, text=True,
        check=True, timeout=120,
    )  # fmt: skip
    assert done.stdout == "False\n"


def test_a_bug_in_a_check_is_raised(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(rule: Rule) -> Iterator[Problem]:
        raise ZeroDivisionError
        yield

    monkeypatch.setattr(checks, "checks", lambda: {"broken": broken})
    with pytest.raises(ZeroDivisionError):
        checks.run(load(SAMPLES["sgd"]))


def test_unanswered_questions_hide_nothing(findings: Findings, monkeypatch: pytest.MonkeyPatch) -> None:
    from optdsl.algebra import proofs
    from optdsl.algebra.limits import TimedOut

    def expired(function: object, seconds: float = 0) -> None:
        raise TimedOut

    everything = [problem.slug for problem in findings(WRONG)]
    monkeypatch.setattr(proofs, "limited", expired)
    assert [problem.slug for problem in findings(WRONG)] == everything


HOSTILE = {
    "a tower of constants": "exp(exp(exp(exp(3))))*lr",
    "a tower of powers": "9^9^9^9*lr*g",
    "a huge power": "2^999999999*lr*g",
    "a power no product spells out": "(x + g + 2)^999999*lr",
    "steps that double": "(x + g)^64*(x - g)^64*(x + 2*g)^64",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_rules_end(name: str, findings: Findings) -> None:
    started = time.monotonic()
    findings(f"rule R(x, g)\nhyper\n  lr = 0.1 in [0, inf)\nupdate\n  x' = x + g*0.1 + {HOSTILE[name]}\n")
    assert time.monotonic() - started < 60


def test_intermediates_that_double_forty_times_end(findings: Findings) -> None:
    lines = "".join(f"  a{n + 1} = a{n}*a{n} + a{n}\n" for n in range(40))
    started = time.monotonic()
    findings(f"rule R(x, g)\nhyper\n  lr = 0.1 in [0, inf)\nupdate\n  a0 = g\n{lines}  x' = x + lr*a40 + g\n")
    assert time.monotonic() - started < 60
