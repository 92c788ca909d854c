"""Schedules: callables of the step number that any hyperparameter takes in place of a number."""

from optdsl.runtime.schedules import Constant, Cosine, Exponential, Join, Linear, OneCycle, Schedule, Step, Warmup

__all__ = ["Constant", "Cosine", "Exponential", "Join", "Linear", "OneCycle", "Schedule", "Step", "Warmup"]
