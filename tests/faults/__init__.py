"""Faults made on purpose: processes killed at any moment."""
