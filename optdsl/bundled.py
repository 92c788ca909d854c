"""The rules that ship with the package."""

from __future__ import annotations

from functools import cache
from pathlib import Path


@cache
def folder() -> Path:
    """Return the folder of the bundled rules: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parent
    for candidate in (package / "rules", package.parent / "rules"):
        if (candidate / "adam.opt").exists():
            return candidate
    raise FileNotFoundError(f"the bundled rules are missing from {package}; install optdsl again")


def names() -> list[str]:
    """Return the names of the bundled rules, such as `adam` and `flux/adam`; those in folders come last."""
    root = folder()
    found = (path.relative_to(root).with_suffix("").as_posix() for path in root.rglob("*.opt"))
    return sorted(found, key=lambda name: (name.count("/"), name))


def path(name: str) -> Path | None:
    """Return the file of a bundled rule, or None where there is none of that name."""
    return folder() / f"{name}.opt" if name in names() else None
