"""Small faults in Python source: each changes one node of the syntax tree."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

Node = TypeVar("Node", bound=ast.AST)

COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE), ast.LtE: (ast.Lt, ast.Gt), ast.Gt: (ast.GtE, ast.LtE), ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.Is: (ast.IsNot,), ast.IsNot: (ast.Is,), ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}  # fmt: skip
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult, ast.Mod: ast.Add,
    ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.Pow: ast.Mult,
}  # fmt: skip
TWINS = {"any": "all", "all": "any", "min": "max", "max": "min", "sorted": "list", "reversed": "list", "sum": "len"}
"""Functions that are easily taken for each other."""


@dataclass(frozen=True)
class Fault:
    """One change of a file: in which function, at which line, and what was there and has become of it.

    `number` counts the faults of the file.
    """

    number: int
    function: str
    line: int
    before: str
    after: str

    @property
    def key(self) -> str:
        """What tells the fault from others, whatever happens to the rest of the file."""
        return f"{self.function}: {self.before} -> {self.after}"


def faults(source: str) -> Iterator[Fault]:
    """Yield every fault of a module: in the bodies of functions, and in its tables of constants."""
    number = 0
    for function, node, _, _ in _places(ast.parse(source)):
        for replacement in _replacements(node):
            yield Fault(number, function, _line(node), _shown(node), _shown(replacement))
            number += 1


def with_fault(source: str, fault: Fault) -> ast.Module:
    """Return the syntax tree of a module with one of its faults."""
    tree, number = ast.parse(source), 0
    for _, node, parent, name in _places(tree):
        for replacement in _replacements(node):
            if number == fault.number:
                _put(
                    parent, name, ast.copy_location(replacement, node) if "lineno" in node._attributes else replacement
                )
                return ast.fix_missing_locations(tree)
            number += 1
    raise ValueError(f"there is no fault {fault.number}")


Name = tuple[str, int | None]


def _put(parent: ast.AST, name: Name, node: ast.AST) -> None:
    field, index = name
    if index is None:
        setattr(parent, field, node)
    else:
        getattr(parent, field)[index] = node


def _line(node: ast.AST) -> int:
    return node.target.lineno if isinstance(node, ast.comprehension) else getattr(node, "lineno", 0)


def _shown(node: ast.AST) -> str:
    """Return the first line of a node's text, with what it consists of cut off where it is a statement with a body."""
    match node:
        case ast.Match(_, cases):
            return f"match with {', '.join(ast.unparse(case).partition(chr(10))[0].strip() for case in cases)}"
        case ast.comprehension():
            return ast.unparse(node).strip()
        case _:
            return " ".join(ast.unparse(node).partition("\n")[0].split())


def _places(tree: ast.Module) -> Iterator[tuple[str, ast.AST, ast.AST, Name]]:
    """Yield the nodes that can be changed with the function they are in, and where they hang."""
    for statement in tree.body:
        match statement:
            case ast.FunctionDef() | ast.ClassDef():
                yield from _of_definition(statement, "")
            case ast.Assign(targets=[ast.Name(name)]) | ast.AnnAssign(target=ast.Name(name)) if name.isupper():
                yield from _below(statement, name, "value")


def _of_definition(node: ast.FunctionDef | ast.ClassDef, outer: str) -> Iterator[tuple[str, ast.AST, ast.AST, Name]]:
    name = f"{outer}{node.name}"
    for index, statement in enumerate(node.body):
        if isinstance(statement, ast.FunctionDef | ast.ClassDef):
            yield from _of_definition(statement, f"{name}.")
        elif isinstance(node, ast.FunctionDef) and not _is_text(statement):
            yield name, statement, node, ("body", index)
            yield from _below(statement, name)


def _is_text(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _below(node: ast.AST, function: str, only: str = "") -> Iterator[tuple[str, ast.AST, ast.AST, Name]]:
    """Yield what hangs below a node, but for annotations and the text of messages."""
    for field, value in ast.iter_fields(node):
        if field in ("annotation", "returns", "ctx", "op", "ops") or (only and field != only):
            continue
        for index, child in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if isinstance(child, ast.JoinedStr | ast.expr_context) or not isinstance(child, ast.AST):
                continue
            yield function, child, node, (field, index)
            yield from _below(child, function)


def _replacements(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what a node might have been by mistake."""
    match node:
        case ast.Compare(ops=[op]):
            for other in COMPARISONS.get(type(op), ()):
                yield _with(node, ops=[other()])
        case ast.BoolOp(op, values):
            yield _with(node, op=ast.Or() if isinstance(op, ast.And) else ast.And())
            for index in range(len(values)):
                yield _with(node, values=values[:index] + values[index + 1 :]) if len(values) > 2 else values[1 - index]
        case ast.UnaryOp(ast.Not() | ast.USub(), operand):
            yield operand
        case ast.BinOp(_, op, _) if type(op) in ARITHMETIC:
            yield _with(node, op=ARITHMETIC[type(op)]())
        case ast.Constant(bool(value)):
            yield ast.Constant(not value)
        case ast.Constant(int(value) | float(value)):
            yield ast.Constant(value + 1)
            if value == 1:
                yield ast.Constant(0)
        case ast.IfExp(_, body, orelse):
            yield from (body, orelse)
        case ast.Call(ast.Name(name), _, _) if name in TWINS:
            words = [] if TWINS[name] in ("list", "len") else node.keywords
            yield _with(node, func=ast.Name(TWINS[name], ast.Load()), keywords=words)
        case ast.Call(_, [ast.AST() as first, ast.AST() as second, *rest], _) if ast.dump(first) != ast.dump(second):
            checks = isinstance(node.func, ast.Name) and node.func.id in ("isinstance", "getattr")
            if not checks and not isinstance(first, ast.Starred) and not isinstance(second, ast.Starred):
                yield _with(node, args=[second, first, *rest])
        case ast.Dict(keys, [first, second, *rest]) if len(keys) > 1:
            yield _with(node, values=[second, first, *rest])
            yield _with(node, keys=keys[1:], values=[second, *rest])
        case ast.Tuple([_, _, *_]) | ast.List([_, _, *_]) | ast.Set([_, _, *_]) if _loads(node):
            yield _with(node, elts=node.elts[1:])
        case ast.comprehension(ifs=[_, *_]):
            yield _with(node, ifs=[])
        case ast.stmt():
            yield from _statements(node)


def _statements(node: ast.stmt) -> Iterator[ast.stmt]:
    match node:
        case ast.If(test) | ast.While(test):
            yield _with(node, test=ast.UnaryOp(ast.Not(), test))
        case ast.Return(ast.AST() as value) if not (isinstance(value, ast.Constant) and value.value is None):
            yield ast.Return(ast.Constant(None))
        case ast.Expr(ast.Yield() | ast.YieldFrom()) | ast.Expr(ast.Call()) | ast.AugAssign() | ast.Raise():
            yield ast.Pass()
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            yield ast.Pass()
        case ast.Continue():
            yield from (ast.Break(), ast.Pass())
        case ast.Break():
            yield from (ast.Continue(), ast.Pass())
        case ast.Match(_, cases) if len(cases) > 1:
            for index, case in enumerate(cases):
                yield _with(node, cases=cases[:index] + cases[index + 1 :])
                if case.guard is not None:
                    yield _with(node, cases=[*cases[:index], _with(case, guard=None), *cases[index + 1 :]])


def _loads(node: ast.Tuple | ast.List | ast.Set) -> bool:
    return isinstance(node, ast.Set) or isinstance(node.ctx, ast.Load)


def _with(node: Node, **fields: object) -> Node:
    """Return a node with other fields."""
    changed = copy.copy(node)
    for name, value in fields.items():
        setattr(changed, name, value)
    return changed
