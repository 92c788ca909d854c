"""Findings in SARIF 2.1.0, which code hosts and editors read: one run, with the pages as the help of its rules.

Names and limits follow the OASIS standard, sections 3.14 to 3.55, and what GitHub's code scanning asks for beyond it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import quote

from optdsl import explain
from optdsl.diagnostics import Fix, Problem, in_order
from optdsl.source import SourceFile
from optdsl.version import __version__

Record: TypeAlias = dict[str, Any]

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
ROOT = "%SRCROOT%"
"""The name of the folder that relative paths start from, as GitHub and CodeQL call it."""


def render(results: Iterable[tuple[SourceFile, Sequence[Problem]]]) -> str:
    """Return the findings in some files as a SARIF log, with paths relative to the working directory where possible."""
    pairs = [(source, problem) for source, problems in results for problem in in_order(problems)]
    slugs = sorted({problem.slug for _, problem in pairs})
    driver = {"name": "optdsl", "semanticVersion": __version__, "rules": [_rule(slug) for slug in slugs]}
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "originalUriBaseIds": {ROOT: {"description": {"text": "The folder that the command ran in."}}},
        "results": [_result(source, problem, slugs.index(problem.slug)) for source, problem in pairs],
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2, ensure_ascii=False)


def _rule(slug: str) -> Record:
    page = explain.page(slug)
    return {
        "id": slug,
        "shortDescription": {"text": page.statement},
        "fullDescription": {"text": page.summary},
        "help": {"text": explain.plain(page.markdown), "markdown": page.markdown},
        "defaultConfiguration": {"level": page.severity},
        "properties": {"problem.severity": page.severity, "tags": ["optimizer"]},
    }


def _result(source: SourceFile, problem: Problem, index: int) -> Record:
    lines = [problem.message, problem.label, f"help: {problem.help}" if problem.help else ""]
    result: Record = {
        "ruleId": problem.slug,
        "ruleIndex": index,
        "level": problem.severity,
        "message": _message("\n".join(line for line in lines if line)),
        "locations": [{"physicalLocation": _place(source, problem.span)}],
    }
    if problem.notes:
        result["relatedLocations"] = [
            {"id": number, "physicalLocation": _place(source, note.span), "message": _message(note.label)}
            for number, note in enumerate(problem.notes, 1)
        ]
    if problem.fix is not None:
        result["fixes"] = [_fix(source, problem, problem.fix)]
    return result


def _message(text: str) -> Record:
    """Return a message. Braces stand for arguments in SARIF, so those of the text are doubled."""
    return {"text": text.replace("{", "{{").replace("}", "}}")}


def _fix(source: SourceFile, problem: Problem, fix: Fix) -> Record:
    replacement = {"deletedRegion": _region(source, fix.span), "insertedContent": {"text": fix.text}}
    change = {"artifactLocation": _file(source, fix.span), "replacements": [replacement]}
    return {"description": _message(problem.help or "mend it"), "artifactChanges": [change]}


def _place(source: SourceFile, span: tuple[int, int]) -> Record:
    return {"artifactLocation": _file(source, span), "region": _region(source, span)}


def _region(source: SourceFile, span: tuple[int, int]) -> dict[str, int]:
    """Return a span as lines and columns, both from 1, the end exclusive."""
    start, end = source.position(span[0]), source.position(span[1])
    return {"startLine": start.line, "startColumn": start.column, "endLine": end.line, "endColumn": end.column}


def _file(source: SourceFile, span: tuple[int, int]) -> dict[str, str]:
    """Return where the file of a span is: below the working directory, or else as a `file:` address."""
    name = source.file(span[0])
    if name.startswith("<"):
        return {"uri": quote(name)}
    path = Path(os.path.abspath(name))
    if path.is_relative_to(Path.cwd()):
        return {"uri": quote(path.relative_to(Path.cwd()).as_posix()), "uriBaseId": ROOT}
    return {"uri": path.as_uri()}
