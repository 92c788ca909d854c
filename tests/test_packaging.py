"""The wheel: it holds the rules, the grammar and the data, and works from another folder."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from optdsl import bundled

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the contents of a wheel made of this checkout."""
    from hatchling.builders.wheel import WheelBuilder

    folder = tmp_path_factory.mktemp("wheel")
    (built,) = WheelBuilder(str(ROOT)).build(directory=str(folder))
    with zipfile.ZipFile(built) as wheel:
        wheel.extractall(folder / "site")
    return folder / "site"


def test_the_wheel_holds_what_is_not_python(unpacked: Path) -> None:
    for name in (
        "syntax/grammar.lark", "syntax/claims.lark", "pages/syntax.md", "targets/skeleton.c", "data/digits.npz",
        "data/README.md", "py.typed",
    ):  # fmt: skip
        assert (unpacked / "optdsl" / name).is_file(), name
    rules = unpacked / "optdsl" / "rules"
    found = sorted(path.relative_to(rules).with_suffix("").as_posix() for path in rules.rglob("*.opt"))
    assert found == sorted(bundled.files())


def test_the_wheel_works_from_another_folder(unpacked: Path, tmp_path: Path) -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(unpacked)!r})\n"
        "import numpy as np, optdsl\nfrom optdsl import bundled\nfrom optdsl.optimizers.flux import ADAM\n"
        "x = np.ones(2)\nADAM([x], eta=0.5).step([np.ones(2)])\n"
        "print(optdsl.__file__, bundled.folder(), x.round(6).tolist())"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == f"{unpacked}/optdsl/__init__.py {unpacked}/optdsl/rules [0.5, 0.5]\n"


def test_an_editable_checkout_finds_the_rules_beside_it() -> None:
    assert bundled.folder() == ROOT / "rules"
