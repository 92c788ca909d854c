"""SymPy is imported by one package, and text never reaches it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import optdsl.algebra

ALGEBRA = Path(optdsl.algebra.__file__).parent
FILES = sorted(ALGEBRA.parent.rglob("*.py"))
DANGEROUS = {"sympify", "parse_expr", "lambdify", "srepr", "eval", "exec", "simplify", "S"}


def imports(tree: ast.AST) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add((node.module or "").split(".")[0])
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            found |= {str(arg.value).split(".")[0] for arg in node.args if isinstance(arg, ast.Constant)}
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ALGEBRA.parent)))
def test_only_the_algebra_imports_sympy(path: Path) -> None:
    assert "sympy" not in imports(ast.parse(path.read_text("utf-8"))) or path.is_relative_to(ALGEBRA)


def test_the_algebra_is_seen_to_import_sympy() -> None:
    assert any("sympy" in imports(ast.parse(path.read_text("utf-8"))) for path in ALGEBRA.glob("*.py"))


@pytest.mark.parametrize("path", sorted(ALGEBRA.glob("*.py")), ids=lambda path: path.name)
def test_text_never_reaches_sympy(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    names = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    names |= {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert not names & DANGEROUS
