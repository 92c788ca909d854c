"""Names that mean something in the languages of the targets, and text that would, were it to reach the code."""

from __future__ import annotations

import builtins
import keyword
import random
import re
from functools import cache
from importlib import import_module

from optdsl import bundled, pipeline
from optdsl.source import read

from .inputs import Family, Input

C_WORDS = """
auto break case char const continue default do double else enum extern float for goto if inline int long
register restrict return short signed sizeof static struct switch typedef union unsigned void volatile while
_Bool _Complex _Imaginary _Generic _Static_assert _Alignas _Atomic _Noreturn _Thread_local asm typeof linux
unix i386 I NULL errno INFINITY NAN HUGE_VAL M_PI EOF assert stdin stdout offsetof bool true1 complex main
environ signgam __LINE__ __FILE__ __func__ __x86_64__ __GNUC__ __builtin_trap __attribute__ SIZE_MAX INT64_MAX
int64_t size_t expf sqrt sqrtf fabs fabsf gamma lgamma tgamma y0 y1 j0 j1 jn erf exp2 log2 pow powf floor
floorf fmin fmax fma isnan isinf signbit copysign abs div index time exit abort malloc free memcpy memset
printf system pthread_create restrict_
""".split()  # noqa: SIM905 - a list of one word a line is hard to read
PYTHON_WORDS = (
    *keyword.kwlist,
    *keyword.softkwlist,
    *(name for name in dir(builtins) if name.islower()),
    "__class__",
    "__init__",
    "__dict__",
    "__slots__",
    "__import__",
    "__builtins__",
    "__file__",
    "__name__",
    "self",
    "cls",
    "np",
    "numpy",
    "os",
    "sys",
    "Path",
    "annotations",
    "kernel",
    "step",
    "state",
    "rule",
    "params",
    "param_groups",
    "defaults",
    "load_state_dict",
    "view",
    "eval",
    "train",
    "lr_",
    "_",
    "__",
    "___",
    "_lr",
    "lr__",
    "args",
    "kwargs",
    "grads",
    "closure",
    "clip_norm",
    "clip_value",
    "nonfinite",
    "master_weights",
    "target",
    "threads",
    "mro",
    "name",
    *vars(import_module("numpy._core.umath")).keys() - {"_"},
)


@cache
def our_words() -> tuple[str, ...]:
    """Return every identifier of the code that some rules compile to: ours, and what follows from theirs."""
    found: set[str] = set()
    for name in ("adam", "lamb", "adagrad", "sgdgc", "transforms/../lookahead", "radam", "asgd"):
        path = bundled.path(name)
        if path is not None:
            for target in ("numpy", "c"):
                for text in pipeline.compile_source(read(path), target, "word", exact=True).values():
                    found |= set(
                        re.findall(r"[A-Za-z_]\w*", re.sub(r'"[^"\n]*"|/\*.*?\*/|#.*', "", text, flags=re.DOTALL))
                    )
    return tuple(sorted(found))


def _rule(chance: random.Random, names: list[str]) -> str:
    """Return a rule whose names are some given ones, in every role that names have."""
    title, x, g, hyper, state, scalar, local, function, argument, view = names
    return (
        f"rule {title}({x}, {g})\nhyper\n  {hyper} = 0.1 in [0, inf)\n  flag_of = false\nstate\n  {state} = 0\n"
        f"  {scalar}: scalar = 1\ndef {function}({argument}) = {argument}*2 + {hyper}\nupdate\n"
        f"  {scalar}' = {scalar}*0.5\n  {local} = if flag_of then -{g} else {g} + {function}({g})*{scalar}'\n"
        f"  {state}' = {state} + {local} + norm({g})\n  {x}' = {x} - {hyper}*{state}'\nview {view} = {state}\n"
    )


def _family(words: list[str], roles: int) -> Family:
    def make(chance: random.Random, number: int) -> Input:
        names = ["R", "x", "g", "lr", "m", "s", "d", "f", "a", "w"]
        for offset, role in enumerate(chance.sample(range(10), roles)):
            word = words[(number * roles + offset) % len(words)]
            names[role] = word if word not in names else names[role]
        stem = chance.choice((names[0], "r", chance.choice(words)))
        return Input(_rule(chance, names), name=f"{stem}.opt")

    return make


def ours(chance: random.Random, number: int) -> Input:
    """Names that our own generated code has."""
    return _family(list(our_words()), 8)(chance, number)


PAYLOADS = (
    "*/ int injected(void) {{ return 1; }} /*",
    "/* */ */",
    '"""\nimport os; os.abort()\n"""',
    "'''",
    "\\",
    "\\\\",
    "??/",
    "??/\n*/",
    "%s %n %d",
    "{{}} {{0}} {{x}}",
    "$T ${{S}} $$",
    '\\" + __import__("os").abort() + "',
    '#line 1 "x"',
    "#include </etc/passwd>",
    "\\u002a/",
    "\\x2a/",
    "\\N{{ASTERISK}}/",
    "*\u200b/",
    "*\\\n/",
    "$(reboot)",
    "`id`",
    "<script>",
    "\u202e*/\u202c",
    "]]>",
    "// \\",
    "%:include",
    "<%",
    '_Pragma("GCC error")',
    "# -*- coding: rot13 -*-",
    "# type: ignore",
    "'; DROP TABLE",
    "\x1b[31m",
    "\x1b]0;title\x07",
    "[bold]x[/bold]",
    "[link=http://x]",
    "\\begin{{x}}",
    "\\input{{/etc/passwd}}",
    "$$\\write18{{id}}$$",
    "a" * 5_000,
    "-" * 3_000,
    "\t\t",
    "\u2028import os",
    "é" * 300,
)


def injection(chance: random.Random, number: int) -> Input:
    """Text that ends a comment or a string of another language, wherever text is free."""
    payload = PAYLOADS[number % len(PAYLOADS)].replace("{{", "{").replace("}}", "}")
    line, quoted = payload.replace("\n", " "), payload.replace('"', "'").replace("\n", " ")
    places = (
        ("# {0}", "doc", "r.opt"),
        ("", "{1}", "r.opt"),
        ("", "doc", "{1}.opt"),
        ("# {0}", "{1}", "{1}.opt"),
    )
    above, doc, name = (part.format(line, quoted) for part in places[(number // len(PAYLOADS) + number) % 4])
    text = (
        f'{above}\nrule R(x, g)\n  "{doc}"\n  cite "{doc}" "{doc}"\n  family "{doc}"\nhyper\n'
        f'  lr = 0.1 in [0, inf)   "{doc}"  {above}\nstate\n  m = 0 "{doc}"\nupdate\n  {above}\n'
        f"  m' = 0.9*m + (  {above}\n    g)  {above}\n  x' = x - lr*m'  {above}\nview v = m \"{doc}\"  {above}\n"
    )
    return Input(text, name=name.replace("/", "∕").replace("\x00", "")[:200].strip() or "r.opt")


FAMILIES: tuple[tuple[str, Family], ...] = (
    ("C names", _family(C_WORDS, 3)),
    ("Python names", _family(list(PYTHON_WORDS), 7)),
    ("our names", ours),
    ("injection", injection),
)
