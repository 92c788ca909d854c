"""Imports go one way: what a module of ours may import of ours."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import optdsl

ROOT = Path(optdsl.__file__).parent
FILES = sorted(path for path in ROOT.rglob("*.py"))
BASE = ("source", "diagnostics", "version")
TYPED = ("ir", "functions")
ALLOWED = {
    "version": (),
    "bundled": ("version",),
    "catalogue": ("bundled", "source", "syntax"),
    "relations": ("bundled", "catalogue", "ir", "syntax"),
    "listing": ("catalogue", "diagnostics"),
    "source": (),
    "diagnostics": ("source",),
    "syntax": ("source", "diagnostics", "syntax"),
    "ir": ("ir",),
    "functions": ("ir",),
    "problems": (*BASE, "ir", "syntax"),
    "explain": ("diagnostics",),
    "allow": ("source", "diagnostics", "explain", "syntax"),
    "sarif": (*BASE, "explain"),
    "watch": (),
    "workers": (),
    "rewriting": (*BASE, "syntax"),
    "presence": (*BASE, *TYPED, "problems"),
    "resolve": ("resolve", *BASE, *TYPED, "problems", "presence", "syntax"),
    "algebra": ("ir", "algebra"),
    "passes": ("ir", "passes"),
    "settings": ("ir", "syntax.names"),
    "stability": (*BASE, "ir", "algebra", "settings", "stability", "syntax", "trials.plot"),
    "checks": (*BASE, *TYPED, "checks", "algebra"),
    "targets": ("ir", "targets", "version"),
    "runtime": ("runtime", "ir.ieee", "ir.interval", "ir.storage", "version"),
}
"""By part of the package. Parts not named here (`pipeline`, `loading`, `cli` and the like) may see everything."""


def modules(path: Path) -> set[str]:
    """Return the modules of ours that a file imports, anywhere in it, without the leading `optdsl.`."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            module = node.module or ""
            folder = ROOT.parent.joinpath(*module.split("."))
            inner = {f"{module}.{alias.name}" for alias in node.names if (folder / f"{alias.name}.py").exists()}
            inner |= {
                f"{module}.{alias.name}" for alias in node.names if (folder / alias.name / "__init__.py").exists()
            }
            found |= inner if len(inner) == len(node.names) else inner | {module}
    return {name.removeprefix("optdsl.") for name in found if name.startswith("optdsl.")}


def part(path: Path) -> str:
    """Return the part of the package a file belongs to."""
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_one_way(path: Path) -> None:
    allowed = ALLOWED.get(part(path))
    if allowed is not None:
        wrong = [name for name in modules(path) if not any(name == ok or name.startswith(f"{ok}.") for ok in allowed)]
        assert not wrong, f"{path.relative_to(ROOT)} imports {', '.join(sorted(wrong))}"


def test_the_parts_with_a_rule_exist() -> None:
    assert set(ALLOWED) <= {part(path) for path in FILES}


def test_what_sees_everything_is_named() -> None:
    free = {part(path) for path in FILES} - set(ALLOWED)
    heads = {"__init__", "__main__", "pipeline", "loading", "show", "cli", "optimizers", "schedules"}
    heads |= {"bases", "reading", "chaining", "building", "jobs", "bench"}
    assert free <= heads | {"trials", "doctor", "template", "terminal", "claims", "diff", "settings", "stability"}


def test_imports_are_seen() -> None:
    assert {"resolve", "reading"} <= modules(ROOT / "pipeline.py")
    assert modules(ROOT / "ir" / "evaluate.py") == {"ir.arithmetic", "ir.nodes", "ir.powers"}


@pytest.mark.parametrize(("library", "home"), [("sympy", "algebra"), ("lark", "syntax")])
def test_a_library_has_one_home(library: str, home: str) -> None:
    users = set()
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            users |= {part(path) for name in names if name.split(".")[0] == library}
    assert users == {home}
