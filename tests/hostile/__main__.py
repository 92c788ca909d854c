"""Hostile inputs through the program: `python -m tests.hostile --count 1000`.

Prints what went wrong, by family how many inputs there were, and the most that any took. The exit status says whether
anything went wrong.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

from . import run
from .inputs import families, inputs, made
from .run import preload, runs


def main() -> int:
    """Run the inputs and report."""
    parser = argparse.ArgumentParser(prog="python -m tests.hostile", description="hostile inputs under tight limits")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--start", type=int, default=0, help="inputs to leave out at the beginning")
    parser.add_argument("--family", choices=families(), help="this family only")
    parser.add_argument(
        "--number", type=int, help="this number of the family only; its files are kept in ./hostile-input"
    )
    parser.add_argument("--quick", action="store_true", help="two verbs for each input instead of five")
    parser.add_argument("--seconds", type=int, default=run.SECONDS, help="processor time for a verb (%(default)s)")
    parser.add_argument("--json", action="store_true", help="write every run as JSON, one a line")
    arguments = parser.parse_args()
    if arguments.number is not None:
        kept = Path("hostile-input")
        kept.mkdir(exist_ok=True)
        made(arguments.family, arguments.number).write(kept)
    run.SECONDS = arguments.seconds
    preload()
    chosen = [
        (family, number, given)
        for family, number, given in inputs(arguments.count)[arguments.start :]
        if arguments.family in (None, family) and arguments.number in (None, number)
    ]
    counts: Counter[str] = Counter()
    statuses: Counter[int] = Counter()
    wrong, slowest, largest = 0, (0.0, ""), (0, "")
    with TemporaryDirectory(prefix="optdsl-hostile-") as aside:
        for family, number, given in chosen:
            counts[family] += 1
            for one in runs(given, number, Path(aside), arguments.quick):
                where = f"{family} {number}: {' '.join(one.verb)}"
                slowest, largest = max(slowest, (one.seconds, where)), max(largest, (one.peak, where))
                statuses[one.status] += 1
                wrong += bool(one.wrong)
                if arguments.json:
                    print(json.dumps({
                        "family": family, "number": number, "verb": " ".join(one.verb), "status": one.status,
                        "seconds": round(one.seconds, 3), "peak": one.peak >> 20, "wrong": one.wrong,
                    }), flush=True)  # fmt: skip
                if one.wrong:
                    print(f"{where}: {one.wrong}\n{one.output[-600:]}", file=sys.stderr, flush=True)
    ends = ", ".join(f"{count} with {status}" for status, count in sorted(statuses.items()))
    print(f"{sum(counts.values())} inputs of {len(counts)} families: {wrong} runs went wrong", file=sys.stderr)
    print(f"{sum(statuses.values())} runs ended: {ends}", file=sys.stderr)
    print(f"at most {slowest[0]:.2f} s ({slowest[1]}) and {largest[0] >> 20} MiB ({largest[1]})", file=sys.stderr)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
