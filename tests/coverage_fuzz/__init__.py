"""Inputs that find their own way: a fuzzer that looks at which code each of them reaches."""
