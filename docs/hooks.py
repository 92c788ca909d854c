"""What `mkdocs build` does beside Markdown: formulas by KaTeX, the pages of findings, and colours for code.

KaTeX typesets each formula while the site is built: the pages hold HTML, with KaTeX's fonts beside them, and run no
script for it. It is looked for in the folder of node modules that OPTDSL_KATEX names, in docs/node_modules, and among
the global ones; `npm install --prefix docs` puts the version of docs/package.json there. Without it formulas stay
as they are written.
"""

from __future__ import annotations

import html
import json
import logging
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from pygments.formatters import HtmlFormatter

from optdsl import explain

DOCS = Path(__file__).resolve().parent
FORMULA = re.compile(r"^\$\$\n(.*?)\n\$\$$", re.DOTALL | re.MULTILINE)
WOFF2 = re.compile(r"src:(url\([^)]*\.woff2\) ?format\(\"woff2\"\))[^;}]*")
SCRIPT = """
const katex = require('katex');
const formulas = JSON.parse(require('fs').readFileSync(0, 'utf8'));
const settings = {displayMode: true, strict: 'error', trust: false, throwOnError: true};
process.stdout.write(JSON.stringify(formulas.map(formula => katex.renderToString(formula, settings))));
"""
log = logging.getLogger("mkdocs.hooks")
typeset: dict[str, str] = {}
"""Formulas with their HTML."""


def on_files(files: Files, config: Any) -> Files:
    """Add the pages of findings and the style sheets, and typeset the formulas of all pages."""
    for slug in explain.slugs():
        files.append(File.generated(config, f"findings/{slug}.md", content=_finding(explain.page(slug))))
    files.append(File.generated(config, "findings/index.md", content=_findings()))
    files.append(File.generated(config, "assets/site.css", content=_style()))
    texts = [file.content_string for file in files.documentation_pages()]
    formulas = list(dict.fromkeys(found for text in texts for found in FORMULA.findall(text)))
    katex = _katex()
    if katex is None:
        log.info("no node with KaTeX: formulas stay as they are written; `npm install --prefix docs` gets it")
        return files
    typeset.update(zip(formulas, _rendered(formulas, katex.parent), strict=True))
    style = WOFF2.sub(r"src:\1", (katex / "dist" / "katex.min.css").read_text(encoding="utf-8"))
    files.append(File.generated(config, "assets/katex.css", content=style))
    for font in sorted((katex / "dist" / "fonts").glob("*.woff2")):
        files.append(File.generated(config, f"assets/fonts/{font.name}", abs_src_path=str(font)))
    config.extra_css.append("assets/katex.css")
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put typeset formulas in the place of written ones."""

    def formula(match: re.Match[str]) -> str:
        text = match[1]
        written = f"<pre><code>{html.escape(text)}</code></pre>"
        return f'<div class="formula">{typeset.get(text, written)}</div>'

    return FORMULA.sub(formula, markdown)


def _katex() -> Path | None:
    """Return the folder of KaTeX, where there is a node to run it."""
    if shutil.which("node") is None:
        return None
    folders = [Path(os.environ["OPTDSL_KATEX"])] if os.environ.get("OPTDSL_KATEX") else []
    folders += [DOCS / "node_modules", Path("/usr/lib/node_modules"), Path("/usr/local/lib/node_modules")]
    found = (folder / "katex" for folder in folders)
    return next((folder for folder in found if (folder / "dist" / "katex.min.css").is_file()), None)


def _rendered(formulas: list[str], modules: Path) -> list[str]:
    """Return the HTML of formulas. Raises PluginError for one that KaTeX refuses."""
    done = subprocess.run(
        ["node", "-e", SCRIPT], input=json.dumps(formulas), capture_output=True, text=True, check=False, timeout=120,
        env={**os.environ, "NODE_PATH": str(modules)},
    )  # fmt: skip
    if done.returncode != 0:
        raise PluginError(f"KaTeX refuses a formula: {done.stderr.strip()[-2000:]}")
    found: list[str] = json.loads(done.stdout)
    return found


def _finding(page: explain.Page) -> str:
    """Return the page of a finding; its examples are rules, which no highlighter knows."""
    return re.sub(r"^```opt \w+$", "```text", page.markdown, flags=re.MULTILINE)


def _findings() -> str:
    pages = [explain.page(slug) for slug in explain.slugs()]
    rows = [f"| [`{page.slug}`]({page.slug}.md) | {page.severity} | {page.statement} |" for page in pages]
    head = ["# Findings", "", "What `optdsl check` says of a rule, each with an example and its mend.", ""]
    return "\n".join([*head, "| finding | | what it says |", "| --- | --- | --- |", *rows]) + "\n"


def _style() -> str:
    """Return colours for code, and room for wide formulas and tables."""
    own = """
.formula { overflow-x: auto; overflow-y: hidden; margin: 1em 0; }
.formula .katex-display { margin: 0; text-align: left; }
.formula .katex-display > .katex { text-align: left; }
.rst-content details { margin: 0 0 12px; }
.rst-content summary { cursor: pointer; font-weight: bold; }
.rst-content table.docutils td, .rst-content table.docutils th { white-space: normal; font-size: 90%; }
.rst-content blockquote { border-left: 3px solid #9db4c8; padding-left: 12px; margin-left: 0; }
.wy-nav-content { max-width: 1000px; }
"""
    colours: str = HtmlFormatter(style="default").get_style_defs(".codehilite")
    return colours + own
