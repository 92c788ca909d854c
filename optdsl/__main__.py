"""`python -m optdsl` is the command line."""

from optdsl.cli import main

main(prog_name="optdsl")
