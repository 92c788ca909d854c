"""Faults made on purpose: `python -m tests.faults COMMAND --help`."""

from __future__ import annotations

import argparse
import sys

from . import cold, compiles, saves

COMMANDS = {"compiles": compiles, "saves": saves, "cold": cold}
"""By name, modules with `add_arguments` and `main`."""


def main() -> int:
    """Run a command and return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description="faults made on purpose")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, module in COMMANDS.items():
        module.add_arguments(commands.add_parser(name, help=(module.__doc__ or "").partition(":")[0]))
    arguments = parser.parse_args()
    status: int = COMMANDS[arguments.command].main(arguments)
    return status


if __name__ == "__main__":
    sys.exit(main())
