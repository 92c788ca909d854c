"""The rules that ship with the package."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

_NAME = re.compile(r"[a-z0-9_]+(?:/[a-z0-9_]+)?")


@cache
def folder() -> Path:
    """Return the folder of the bundled rules: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parent
    for candidate in (package / "rules", package.parent / "rules"):
        if (candidate / "adam.opt").exists():
            return candidate
    raise FileNotFoundError(f"the bundled rules are missing from {package}; install optdsl again")


TRANSFORMS = "transforms/"
"""Where the bundled gradient transforms are: parts of chains, which make no step of their own."""


TRANSFORM = "transform"
"""Their family."""


def names() -> list[str]:
    """Return the names of the bundled rules, such as `adam` and `flux/adam`; those in folders come last."""
    return [name for name in files() if not name.startswith(TRANSFORMS)]


def transforms() -> list[str]:
    """Return the names of the bundled transforms, such as `clip_value`."""
    return [name.removeprefix(TRANSFORMS) for name in files() if name.startswith(TRANSFORMS)]


def files() -> list[str]:
    """Return the names of the bundled rules and of the transforms with their folder; those in folders come last."""
    root = folder()
    found = (path.relative_to(root).with_suffix("").as_posix() for path in root.rglob("*.opt"))
    return sorted(found, key=lambda name: (name.count("/"), name))


def name_of(file: str | Path) -> str | None:
    """Return the name of the bundled rule in a file, or None where the file is another."""
    own, root = Path(file).resolve(), folder().resolve()
    return own.relative_to(root).with_suffix("").as_posix() if own.is_file() and own.is_relative_to(root) else None


def namesake(file: str | Path) -> Path | None:
    """Return the file of the rule at the top that a bundled file in a folder is named after, or None."""
    name = name_of(file) or ""
    top = folder() / f"{name.rpartition('/')[2]}.opt"
    return top if "/" in name and not name.startswith(TRANSFORMS) and top.is_file() else None


def path(name: str) -> Path | None:
    """Return the file of a bundled rule, else that of a transform, or None where there is none of that name."""
    if not _NAME.fullmatch(name):
        return None  # such as `../adam`, which leads out of the folder
    candidates = (folder() / f"{each}.opt" for each in (name, f"{TRANSFORMS}{name}"))
    return next((path for path in candidates if path.is_file()), None)
