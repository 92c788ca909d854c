"""Hostile files: a thousand of them, and a command that puts each through the program under tight limits."""
