"""A rule as a whole: the tree of its file, and of those that file is made from."""

from __future__ import annotations

from dataclasses import replace

from optdsl import bases, bundled
from optdsl.diagnostics import Problem, closest
from optdsl.problems import CyclicDefinition, TooComplex, UnknownBase
from optdsl.resolve import resolve
from optdsl.resolve.chain import joined
from optdsl.resolve.inherit import inherit
from optdsl.source import SourceFile, Span
from optdsl.source import read as read_file
from optdsl.syntax import ast
from optdsl.syntax.parser import MOST_LINES, parse


def read(source: SourceFile) -> tuple[SourceFile, ast.Rule, list[Problem]]:
    """Parse a file and those it is made from; return their texts together, the whole rule, and what can't be read.

    Without what it is made from a rule isn't whole: its tree then has no header, and nothing more is said of it.
    """
    reader = _Reader(source)
    tree = reader.whole(0, [])
    return reader.source, tree, reader.problems


def other(name: ast.Name, source: SourceFile, component: bool = False) -> SourceFile | Problem:
    """Return the file of a rule that another names, perhaps as a component, or why it can't be had."""
    asking = source.file(name.span.start)
    given = source.given if asking == source.name else ()
    try:
        found = bases.find(name.text, asking, given, component)
    except (OSError, ValueError) as error:
        return UnknownBase(span=name.span, name=name.text, why=getattr(error, "strerror", None) or str(error))
    if found is None:
        itself = bases.is_itself(name.text, asking)
        near = None if itself else closest(name.text, bases.names(asking, "/" in name.text))
        return UnknownBase(span=name.span, name=name.text, suggestion=near, itself=itself)
    return found


class _Reader:
    """Puts rules together, file by file. `source` grows by the text of each.

    `family_of` has the files whose family is being looked for.
    """

    def __init__(self, source: SourceFile, family_of: tuple[str, ...] = ()) -> None:
        self.source = source
        self.family_of = family_of
        self.problems: list[Problem] = []
        self.known: dict[str, ast.Rule] = {}

    def whole(self, number: int, asking: list[tuple[str, str]]) -> ast.Rule:
        """Return the whole tree of a file of the source, without a header where it can't be had.

        `asking` has the files, with the names of their rules, that led to this one.
        """
        tree, problems = parse(self.source, number)
        self.problems += problems
        header = tree.header
        if header is None or (number > 0 and problems):
            return replace(tree, header=None)
        name = self.source.later[number - 1][1] if number else self.source.name
        asking = [*asking, (name, header.name.text)]
        tree = replace(tree, family=tree.family or self._family(name))
        if header.base is not None:
            base = self._part(header.base, asking)
            if base.header is None:
                return replace(tree, header=None)
            tree, wrong = inherit(tree, base)
            self.problems += wrong
        elif header.components:
            parts = [self._component(component.name, asking) for component in header.components]
            if any(part.header is None for part in parts):
                return replace(tree, header=None)
            if sum(len(part.equations) for part in parts) > MOST_LINES:
                what = "this chain has too many equations"
                self.problems.append(TooComplex(span=header.span, what=what, limit=str(MOST_LINES)))
                return replace(tree, header=None)
            tree, wrong = joined(tree, parts)
            self.problems += wrong
        return tree

    def _family(self, name: str) -> ast.Family | None:
        """Return the family of a bundled file that names none: transforms have theirs, others their namesake's."""
        if (bundled.name_of(name) or "").startswith(bundled.TRANSFORMS):
            return ast.Family(bundled.TRANSFORM, Span(0, 0))
        namesake = bundled.namesake(name)
        if namesake is None or name in self.family_of:
            return None
        return _Reader(read_file(namesake), (*self.family_of, name)).whole(0, []).family

    def _component(self, name: ast.Name, asking: list[tuple[str, str]]) -> ast.Rule:
        """Return the tree of a component. What is wrong in it is said in its own words, before names are changed."""
        tree = self._part(name, asking, component=True)
        _, problems = resolve(self.source, tree)
        wrong = [problem for problem in problems if problem.severity == "error"]
        self.problems += (problem for problem in wrong if problem not in self.problems)
        return replace(tree, header=None) if wrong else tree

    def _part(self, name: ast.Name, asking: list[tuple[str, str]], component: bool = False) -> ast.Rule:
        """Return the whole tree of a rule that another names."""
        found = other(name, self.source, component)
        problem = found if isinstance(found, Problem) else self._refused(name, found, asking)
        if problem is not None or isinstance(found, Problem):
            self.problems += [problem] if problem is not None else []
            return ast.Rule()
        if found.name not in self.known:
            self.source = self.source.followed_by(found)
            self.known[found.name] = self.whole(len(self.source.later), asking)
        return self.known[found.name]

    def _refused(self, name: ast.Name, found: SourceFile, asking: list[tuple[str, str]]) -> Problem | None:
        """Return why a file can't be a part of the rules that led to it."""
        files = [file for file, _ in asking]
        if found.name in files:
            names = tuple(rule for _, rule in asking[files.index(found.name) :])
            return CyclicDefinition(span=name.span, names=names, rules=True)
        if len(asking) == bases.LONGEST_CHAIN:
            what = "this rule is made from too many others, one from the next"
            return TooComplex(span=name.span, what=what, limit=str(bases.LONGEST_CHAIN))
        if found.name not in self.known and len(self.source.later) >= bases.MOST_FILES:
            return TooComplex(span=name.span, what="this rule is made from too many files", limit=str(bases.MOST_FILES))
        return None
