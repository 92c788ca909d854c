"""For which learning rates and curvatures a rule comes to rest at the minimum of a quadratic."""
