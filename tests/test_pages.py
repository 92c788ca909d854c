"""The pages of the bundled rules, their pictures, and the site made of them."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from optdsl import bundled, loading, pipeline
from optdsl.catalogue import entries
from optdsl.source import SourceFile, read
from optdsl.trials.functions import FUNCTIONS

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
SVG = "{http://www.w3.org/2000/svg}"
CLAIMS = """\
rule R(x, g)
hyper
  lr = 0.1 in [0, inf)
  eps = 0 in [0, inf)
update
  x' = x - lr*g/(1 + eps)
claim
  equals SGD with lr = lr/(1 + eps) and momentum = 0 when eps = 2 for 1 step
  equals SGD when eps = 0
  invariant g -> c*g and lr -> lr/c for c > 0 when eps = 0
  descends
  still when lr = 0 and eps = 1
"""
MEANINGS = """\
after the first step the parameters are those of SGD with `lr = lr/(1 + eps)` and `momentum = 0`, \
whatever the gradients, if `eps = 2`.
after each of 4 steps the parameters are those of SGD, whatever the gradients, if `eps = 0`.
with `c*g` in place of `g` and `lr/c` in place of `lr` the parameters take the same course \
for every c in `(0, inf)`, over 4 steps, if `eps = 0`.
no element of the first step points along its gradient.
a step leaves the parameters where they are, if `lr = 0` and `eps = 1`.
"""


@pytest.fixture(scope="module")
def scripts() -> Iterator[Any]:
    """Return what imports a script of the documentation."""
    sys.path.insert(0, str(DOCS))
    yield importlib.import_module
    sys.path.remove(str(DOCS))


@pytest.fixture(scope="module")
def rules(scripts: Any) -> Any:
    return scripts("rules")


@pytest.fixture(scope="module")
def pictures(scripts: Any) -> Any:
    return scripts("pictures")


def test_every_rule_has_a_page_and_every_page_a_rule() -> None:
    pages = {path.relative_to(DOCS / "rules").with_suffix("").as_posix() for path in (DOCS / "rules").rglob("*.md")}
    assert pages == {"index", *bundled.files()}, "run docs/rules.py"
    index = (DOCS / "rules" / "index.md").read_text(encoding="utf-8")
    assert [name for name in bundled.files() if f"]({name}.md)" not in index] == []


def test_a_page_has_its_parts(rules: Any) -> None:
    among = entries()
    for name, without in (("adam", ""), ("transforms/clip_value", "Path"), ("flux/descent", "Views")):
        source = read(bundled.folder() / f"{name}.opt")
        text = rules.page(among[name], source, pipeline.rule_of(source), among)
        assert text.startswith(f"# {among[name].shown}\n\n{among[name].doc}")
        for title in ("Equations", "Hyperparameters", "State", "Use", "Origin", "Code"):
            assert f"\n## {title}\n" in text, f"{name} lacks {title}"
        assert f"## {without}" not in text or not without
        assert source.text.rstrip() in text
    assert "](https://arxiv.org/abs/" not in text
    assert "[Robbins & Monro 1951](https://doi.org/10.1214/aoms/1177729586), doi:10.1214/aoms/1177729586" in text


def test_claims_are_told_in_words(rules: Any) -> None:
    rule = pipeline.rule_of(SourceFile("case.opt", CLAIMS))
    assert [rules.meaning(claim, rule) for claim in rule.claims] == MEANINGS.splitlines()


def test_citations_are_linked(rules: Any) -> None:
    assert rules.linked(("A 2020", "in a book, arXiv:2001.00001")) == [
        "[A 2020](https://arxiv.org/abs/2001.00001)", "in a book, arXiv:2001.00001",
    ]  # fmt: skip
    assert rules.linked(("A 2020", "a lecture")) == ["A 2020", "a lecture"]


def in_each_folder() -> list[str]:
    """Return the first rule of each folder, and transforms that stand before and behind a rule."""
    first = {name.rpartition("/")[0]: name for name in reversed(bundled.names())}
    return [*first.values(), *(f"{bundled.TRANSFORMS}{name}" for name in ("clip_value", "ema", "trust_ratio"))]


@pytest.mark.parametrize("name", in_each_folder())
def test_what_a_page_says_of_its_use_works(name: str) -> None:
    text = (DOCS / "rules" / f"{name}.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"^## Use\n\n```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    before = "import numpy as np\nparams, grads = [np.ones((2, 3))], [np.ones((2, 3))]\n"
    after = "assert np.isfinite(params[0]).all() and opt.rule.name\n"
    done = subprocess.run([sys.executable, "-c", before + code + after], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# Pictures


@pytest.mark.parametrize("name", ["adam", "sgd", "rprop", "flux/adadelta"])
def test_a_picture_is_small_and_the_same_each_time(name: str, pictures: Any) -> None:
    rule = loading.load(name, "numpy", exact=True)
    text = pictures.svg(rule)
    assert text == pictures.svg(rule)
    assert len(text) < 40_000
    root = ElementTree.fromstring(text)
    titles = [element.text or "" for element in root.iter(f"{SVG}text")]
    assert [title.split(",")[0] for title in titles] == list(pictures.SHOWN)
    assert all(("learning rate" in title) == (name != "flux/adadelta") for title in titles)
    assert not re.search(r"\d\.\d{2}|nan|inf", re.sub(r"learning rate [\d.]+|<style>.*?</style>", "", text))


def test_the_learning_rate_is_one_that_comes_down(pictures: Any) -> None:
    """Gradient descent on a curvature of 100 diverges above 0.02."""
    sgd = loading.load("sgd", "numpy", exact=True)
    path = pictures.path(sgd, FUNCTIONS["quadratic"], 100)
    assert path.rate == 0.01
    assert len(path.points) == 101
    values = [float(FUNCTIONS["quadratic"].at(*point)[0]) for point in path.points]
    assert all(after < before for before, after in pairwise(values))


def test_a_run_that_leaps_about_is_not_drawn(pictures: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Heavy momentum on a curved valley goes another way for every rounding."""
    nesterov = loading.load("nesterov", "numpy", exact=True)
    valley, bowl = FUNCTIONS["rosenbrock"], FUNCTIONS["quadratic"]
    assert pictures._is_calm(nesterov, valley, {"lr": 0.0003}, 400)
    assert not pictures._is_calm(nesterov, valley, {"lr": 0.003}, 140)
    assert not pictures._is_calm(loading.load("sgd", "numpy", exact=True), bowl, {"lr": 0.021}, 50), "it climbs"
    monkeypatch.setattr(pictures, "SAME", 1e-16)
    assert not pictures._is_calm(nesterov, valley, {"lr": 0.0003}, 400), "the two starts make a difference of 1e-12"


def test_a_run_that_is_lost_ends(pictures: Any) -> None:
    sgd = loading.load("sgd", "numpy", exact=True)
    points = pictures._run(sgd, FUNCTIONS["quadratic"], {"lr": 1.0}, 50)
    assert 1 < len(points) < 10
    assert np.abs(points).max() < pictures.FAR


def test_contours_lie_where_the_function_has_one_value(pictures: Any) -> None:
    y, x = np.mgrid[-2:2:41j, -2:2:41j]
    lines = list(pictures._joined(pictures._segments(x**2 + y**2, 1.03)))
    assert len(lines) == 1, "a circle is one line"
    (line,) = lines
    assert line[0] == line[-1]
    for column, row in line:
        assert (column / 10 - 2) ** 2 + (row / 10 - 2) ** 2 == pytest.approx(1.03, abs=0.01)


def test_a_straight_line_is_left_with_its_ends(pictures: Any) -> None:
    assert pictures._straightened([(0, 0), (5, 0), (10, 0)]) == [(0, 0), (10, 0)]
    assert pictures._straightened([(0, 0), (5, 4), (10, 0)]) == [(0, 0), (5, 4), (10, 0)]
    assert pictures._drawn([[(3, 4), (5, 1), (5, 1)], [(0, 0)]]) == "M3 4l2-3 0 0M0 0"


# The site


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the site, built strictly."""
    pytest.importorskip("mkdocs", reason="mkdocs, of the extra `docs`, is not installed")
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "-q", "--strict", "--site-dir", str(folder)], capture_output=True,
        text=True, check=False, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_the_site_has_every_page_and_asks_nothing_of_the_network(site: Path) -> None:
    for name in ("index", "language", "rules/index", "findings/ascends", *(f"rules/{n}" for n in bundled.files())):
        assert (site / f"{name}.html").is_file()
    loaded = re.compile(r"""<(?:script|link|img|iframe|source)\b[^>]*?(?:src|href)=["']?((?:https?:)?//[^"' >]*)""")
    for page in site.rglob("*.html"):
        assert loaded.findall(page.read_text(encoding="utf-8")) == [], page
    for style in site.rglob("*.css"):
        assert re.findall(r"(?:url\(|@import\s*)[\"']?(?:https?:)?//", style.read_text(encoding="utf-8")) == [], style


def test_formulas_are_typeset_and_their_fonts_are_there(site: Path) -> None:
    if not (site / "assets" / "katex.css").is_file():
        pytest.skip("no node with KaTeX; OPTDSL_KATEX names a folder of node modules that has it")
    page = (site / "rules" / "adam.html").read_text(encoding="utf-8")
    assert 'class="katex-display"' in page
    assert "assets/katex.css" in page
    style = (site / "assets" / "katex.css").read_text(encoding="utf-8")
    fonts = re.findall(r"url\(([^)]*)\)", style)
    assert len(fonts) >= 15
    assert [font for font in fonts if not (site / "assets" / font).is_file()] == []
