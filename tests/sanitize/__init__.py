"""Generated C and the runtime's own, stepped under gcc's sanitizers: `python -m tests.sanitize`."""
