"""Computer algebra: the only package that imports SymPy. Its questions are bounded in size and in time."""
