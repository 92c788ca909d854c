"""Fuzzing that looks at coverage: `python -m tests.coverage_fuzz parser --seconds 600`. Needs atheris (extra `fuzz`).

What an input breaks is printed with the smallest input found that breaks it, as Python bytes; put it into
`tests/regressions/inputs/TARGET-NAME`. The exit status says whether anything broke.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from .targets import TARGETS, seeds, words

PACKAGES = (
    "optdsl.syntax",
    "optdsl.resolve",
    "optdsl.source",
    "optdsl.diagnostics",
    "optdsl.reading",
    "optdsl.allow",
    "optdsl.runtime.checkpoint",
    "optdsl.runtime.statedict",
    "optdsl.runtime.options",
    "optdsl.runtime.groups",
)
"""The modules whose branches are counted."""


def main() -> int:
    """Fuzz a target in a process of its own, which ends at the first finding; then make that small."""
    parser = argparse.ArgumentParser(prog="python -m tests.coverage_fuzz", description="fuzzing that looks at coverage")
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--seconds", type=int, default=180)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    arguments, rest = parser.parse_known_args()
    if arguments.inside:
        return _inside(arguments.target, rest)
    with tempfile.TemporaryDirectory(prefix="optdsl-fuzz-") as name:
        folder = Path(name)
        _prepare(folder, arguments.target)
        limits = [
            f"-max_total_time={arguments.seconds}",
            f"-seed={arguments.seed}",
            f"-artifact_prefix={folder}/found-",
        ]
        flags = [f"-dict={folder}/words", "-max_len=4096", "-timeout=60", "-rss_limit_mb=2048", "-print_final_stats=1"]
        output = _fuzz(arguments.target, [*limits, *flags, str(folder / "corpus")])
        found = sorted(folder.glob("found-*"))
        for path in found:
            _minimised(arguments.target, folder, path)
    print("\n".join(_statistics(output)))
    return int(bool(found))


def _prepare(folder: Path, target: str) -> None:
    corpus = folder / "corpus"
    corpus.mkdir()
    for number, seed in enumerate(seeds(target)):
        (corpus / f"seed{number}").write_bytes(seed)
    lines = ["".join(f"\\x{byte:02x}" for byte in word) for word in words(target)]
    (folder / "words").write_text("".join(f'"{line}"\n' for line in lines), encoding="ascii")


def _fuzz(target: str, flags: list[str]) -> str:
    """Run the fuzzer in a process of its own; return what it said."""
    command = [sys.executable, "-m", "tests.coverage_fuzz", target, "--inside", *flags]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    said = done.stdout + done.stderr
    if "Uncaught Python exception" in said:
        print(said[said.index("Uncaught Python exception") :][:4000])
    elif done.returncode and "stat::" not in said:
        print(said[-4000:])
        raise SystemExit(2)
    return said


def _minimised(target: str, folder: Path, path: Path) -> None:
    """Print the smallest input found that breaks what another breaks."""
    small = folder / "small"
    _fuzz(target, ["-minimize_crash=1", "-max_total_time=60", f"-exact_artifact_path={small}", str(path)])
    data = (small if small.exists() else path).read_bytes()
    print(f"{target} is broken by {len(data)} bytes: {data!r}")


def _statistics(output: str) -> list[str]:
    """Return the lines that say how many inputs there were, and how far they reached."""
    progress = [line for line in output.splitlines() if re.match(r"#\d+\s", line)]
    return [*progress[-1:], *(line for line in output.splitlines() if line.startswith("stat::"))]


def _inside(target: str, flags: list[str]) -> int:
    try:
        import atheris
    except ImportError:
        print("atheris isn't installed: pip install -e '.[fuzz]'", file=sys.stderr)
        return 2
    for name in [name for name in sys.modules if name.startswith("optdsl")]:
        del sys.modules[name]  # to be loaded again, with their branches counted
    with atheris.instrument_imports(include=list(PACKAGES)):
        for package in PACKAGES:
            __import__(package)
        del sys.modules["tests.coverage_fuzz.targets"]
        from . import targets
    os.environ.setdefault("OPTDSL_CACHE_DIR", tempfile.mkdtemp(prefix="optdsl-fuzz-"))
    atheris.Setup([sys.argv[0], *flags], targets.TARGETS[target])
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
