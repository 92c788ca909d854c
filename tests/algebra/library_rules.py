"""Rules as libraries have them, right and wrong, for the tests of equivalence."""

from __future__ import annotations

ADAM = """
rule Adam(x, g)
hyper
  lr    = 1e-3   in [0, inf)
  beta1 = 0.9    in [0, 1)
  beta2 = 0.999  in [0, 1)
  eps   = 1e-8   in [0, inf)
state
  m = 0
  v = 0
update
  m' = ema(m, g, beta1)
  v' = ema(v, g^2, beta2)
  x' = x - lr*debias(m', beta1)/(sqrt(debias(v', beta2)) + eps)
"""

TORCH_ADAM = ADAM.replace(
    "x - lr*debias(m', beta1)/(sqrt(debias(v', beta2)) + eps)",
    "x - lr/(1 - beta1^t)*(m'/(sqrt(v')/sqrt(1 - beta2^t) + eps))",
)
"""The bias corrections taken out of the root and of the quotient, as torch computes them."""

DEBIASED_ADAM = """
rule Adam(x, g)
hyper
  lr    = 1e-3   in [0, inf)
  beta1 = 0.9    in [0, 1)
  beta2 = 0.999  in [0, 1)
  eps   = 1e-8   in [0, inf)
state
  m = 0
  v = 0
update
  b1 = (beta1^t - beta1)/(beta1^t - 1)
  b2 = (beta2^t - beta2)/(beta2^t - 1)
  m' = ema(m, g, b1)
  v' = ema(v, g^2, b2)
  x' = x - lr*m'/(sqrt(v') + eps)
"""
"""Moments stored with their bias corrected, as optimi does."""

ADAM_WITH_DECAY = """
rule AdamW(x, g)
hyper
  lr    = 1e-3   in [0, inf)
  beta1 = 0.9    in [0, 1)
  beta2 = 0.999  in [0, 1)
  eps   = 1e-8   in [0, inf)
  weight_decay = 1e-2 in [0, inf)
state
  m = 0
  v = 0
update
  m' = ema(m, g, beta1)
  v' = ema(v, g^2, beta2)
  x' = x - lr*debias(m', beta1)/(sqrt(debias(v', beta2)) + eps) - lr*weight_decay*x
"""

AMSGRAD = """
rule AMSGrad(x, g)
hyper
  lr    = 1e-3   in [0, inf)
  beta1 = 0.9    in [0, 1)
  beta2 = 0.999  in [0, 1)
  eps   = 1e-8   in [0, inf)
state
  m = 0
  v = 0
  vmax = 0
update
  m' = ema(m, g, beta1)
  v' = ema(v, g^2, beta2)
  vmax' = max(vmax, v')
  x' = x - lr*debias(m', beta1)/(sqrt(debias(vmax', beta2)) + eps)
"""

OPTAX_AMSGRAD = AMSGRAD.replace("max(vmax, v')", "max(vmax, debias(v', beta2))").replace(
    "debias(vmax', beta2)", "vmax'"
)
"""The maximum taken after bias correction."""

ADABELIEF = """
rule AdaBelief(x, g)
hyper
  lr       = 1e-3   in [0, inf)
  beta1    = 0.9    in [0, 1)
  beta2    = 0.999  in [0, 1)
  eps      = 1e-8   in [0, inf)
  eps_root = 1e-16  in [0, inf)
state
  m = 0
  s = 0
update
  m' = ema(m, g, beta1)
  s' = ema(s, (g - m')^2, beta2) + eps_root
  x' = x - lr*debias(m', beta1)/(sqrt(debias(s', beta2)) + eps)
"""

RPROP = """
rule Rprop(x, g)
hyper
  lr        = 1e-2  in [0, inf)
  eta_minus = 0.5   in (0, 1)
  eta_plus  = 1.2   in (1, inf)
  step_min  = 1e-6  in [0, inf)
  step_max  = 50    in (0, inf)
state
  prev = 0
  step = lr
update
  s     = g*prev
  k     = if s > 0 then eta_plus elif s < 0 then eta_minus else 1
  step' = clip(step*k, step_min, step_max)
  d     = if s < 0 then 0 else g
  prev' = d
  x'    = x - step'*sign(d)
"""

STALE_RPROP = RPROP.replace("  prev = 0\n", "  prev = 0\n  u = 0\n").replace(
    "  x'    = x - step'*sign(d)", "  u'    = step'*sign(d)\n  x'    = x - u"
)
"""The update of the step before, as optax has it."""

ADAN = """
rule Adan(x, g)
hyper
  lr    = 1e-3  in [0, inf)
  beta1 = 0.98  in [0, 1)
  beta2 = 0.92  in [0, 1)
  beta3 = 0.99  in [0, 1)
  eps   = 1e-8  in [0, inf)
state
  m = 0
  d = 0
  n = 0
  prev = 0
update
  diff  = if t == 1 then 0 else g - prev
  prev' = g
  m' = ema(m, g, beta1)
  d' = ema(d, diff, beta2)
  n' = ema(n, (g + beta2*diff)^2, beta3)
  x' = x - lr*(debias(m', beta1) + beta2*debias(d', beta2))/(sqrt(debias(n', beta3)) + eps)
"""

OPTAX_ADAN = ADAN.replace("(g + beta2*diff)", "(g + (1 - beta2)*diff)").replace(
    "+ beta2*debias(d', beta2)", "+ (1 - beta2)*debias(d', beta2)"
)
"""1 - beta2 where beta2 belongs."""

LION = """
rule Lion(x, g)
hyper
  lr           = 1e-4  in [0, inf)
  beta1        = 0.9   in [0, 1)
  beta2        = 0.99  in [0, 1)
  weight_decay = 0     in [0, inf)
state
  m = 0
update
  m' = ema(m, g, beta2)
  x' = x - lr*(sign(ema(m, g, beta1)) + weight_decay*x)
"""

JULIA_LION = LION.replace("m' = ema(m, g, beta2)", "m' = ema(g, m, beta2)").replace(
    "sign(ema(m, g, beta1))", "sign((beta2 - beta1)*g + beta1*m')"
)
"""The weights of the average swapped, as Optimisers.jl has them."""

SGD = """
rule SGD(x, g)
hyper
  lr           = 1e-3   in [0, inf)
  momentum     = 0      in [0, inf)
  dampening    = 0
  weight_decay = 0      in [0, inf)
  nesterov     = false
  maximize     = false
state
  b = 0 when momentum != 0
update
  s  = if maximize then -g else g
  d  = if weight_decay != 0 then s + weight_decay*x else s
  b' = if t == 1 then d else momentum*b + (1 - dampening)*d
  u  = if momentum == 0 then d elif nesterov then d + momentum*b' else b'
  x' = x - lr*u
"""

NADAM = """
rule NAdam(x, g)
hyper
  lr             = 2e-3   in [0, inf)
  beta1          = 0.9    in [0, 1)
  beta2          = 0.999  in [0, 1)
  eps            = 1e-8   in [0, inf)
  momentum_decay = 4e-3   in [0, inf)
state
  m = 0
  v = 0
  prod: scalar = 1
def mu(k) = beta1*(1 - 0.5*0.96^(k*momentum_decay))
update
  prod' = prod*mu(t)
  m' = ema(m, g, beta1)
  v' = ema(v, g^2, beta2)
  d  = sqrt(debias(v', beta2)) + eps
  x' = x - lr*(1 - mu(t))/(1 - prod')*g/d - lr*mu(t + 1)/(1 - prod'*mu(t + 1))*m'/d
"""

LAMB = """
rule LAMB(x, g)
hyper
  lr           = 1e-3   in [0, inf)
  beta1        = 0.9    in [0, 1)
  beta2        = 0.999  in [0, 1)
  eps          = 1e-6   in [0, inf)
  weight_decay = 0      in [0, inf)
state
  m = 0
  v = 0
update
  m' = ema(m, g, beta1)
  v' = ema(v, g^2, beta2)
  u  = debias(m', beta1) / (sqrt(debias(v', beta2)) + eps) + weight_decay*x
  nx = norm(x)
  nu = norm(u)
  trust = if nx > 0 and nu > 0 then nx/nu else 1
  x' = x - lr*trust*u
"""

HEAVY_BALL = """
rule HeavyBall(x, g)
hyper
  lr  = 1e-2 in [0, inf)
  rho = 0.9  in [0, 1)
state
  last = x
update
  last' = x
  x' = x - lr*g + rho*(x - last)
"""
"""Momentum written with the last parameter instead of a buffer."""

LOOK_AHEAD = """
rule Interpolated(y, g)
hyper
  lr  = 1e-2 in [0, inf)
  rho = 0.9  in [0, 1)
state
  z = y
update
  z' = y - lr*g
  y' = z' + rho*(z' - z)
"""
"""Nesterov's method as he wrote it: a step, and then a look along the last two."""

FLUX_MOMENTUM = """
rule Momentum(w, grad)
hyper
  eta = 0.01   in [0, inf)
  rho = 0.9    in [0, 1)
state
  v = 0
update
  v' = rho*v - eta*grad
  w' = w + v'
"""

FLUX_NESTEROV = FLUX_MOMENTUM.replace("w + v'", "w + rho^2*v - (1 + rho)*eta*grad")

FLUX_ADAMAX = """
rule AdaMax(x, g)
hyper
  eta     = 0.001  in [0, inf)
  beta1   = 0.9    in [0, 1)
  beta2   = 0.999  in [0, 1)
  epsilon = 1e-8   in [0, inf)
state
  m = 0
  u = 0
update
  m' = ema(m, g, beta1)
  u' = max(beta2*u, abs(g))
  x' = x - eta*debias(m', beta1)/(u' + epsilon)
"""

FLUX_NADAM = """
rule NADAM(x, g)
hyper
  eta     = 0.001  in [0, inf)
  beta1   = 0.9    in [0, 1)
  beta2   = 0.999  in [0, 1)
  epsilon = 1e-8   in [0, inf)
state
  m = 0
  v = 0
update
  m' = ema(m, g, beta1)
  v' = ema(v, g^2, beta2)
  u  = beta1*m'/(1 - beta1^(t + 1)) + (1 - beta1)*g/(1 - beta1^t)
  x' = x - eta*u/(sqrt(beta2*debias(v', beta2)) + epsilon)
"""

MOMENTUM = """
rule Momentum(x, g)
hyper
  lr       = 1e-3   in [0, inf)
  momentum = 0.9    in [0, inf)
state
  b = 0
update
  b' = momentum*b + g
  x' = x - lr*b'
"""

NESTEROV = MOMENTUM.replace("x - lr*b'", "x - lr*(g + momentum*b')")

RULES = {name: text for name, text in globals().items() if name.isupper() and isinstance(text, str)}
"""Every rule above, by the name it has here."""
