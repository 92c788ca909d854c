"""Problems to try a rule on, behind `optdsl run`: a network on handwritten digits, and functions of two numbers."""
