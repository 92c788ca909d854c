"""Tests of the bundled rules against the optimizers they are named after."""
