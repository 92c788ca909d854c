"""What is stepped: one tensor, many of a size, or the parameters of a model by name."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from optdsl.runtime.wording import suggestion

MOST = 64 * 10**6
"""Elements of the largest tensor that is timed."""
MOST_TENSORS = 100_000
USUAL = ("1000x100", "16M")
"""Sizes where none is asked for."""

_UNITS = {"": 1, "k": 10**3, "K": 10**3, "m": 10**6, "M": 10**6}
_NUMBER = re.compile(r"(\d+(?:\.\d+)?)([kKmM]?)")
_FORMS = "as `16M` for one tensor, `1000x100` for a thousand of 100 elements, or a model's: "


@dataclass(frozen=True, slots=True)
class Size:
    """The tensors of one measurement."""

    name: str
    """As it was asked for."""
    shapes: tuple[tuple[int, ...], ...]

    @property
    def tensors(self) -> int:
        """How many tensors there are."""
        return len(self.shapes)

    @property
    def elements(self) -> int:
        """How many elements they have together."""
        return sum(map(math.prod, self.shapes))


def gpt2() -> Iterator[tuple[int, ...]]:
    """Yield the shapes of GPT-2 small: two embeddings, twelve blocks, a last norm; the output shares its weights."""
    width, vocabulary, context, blocks = 768, 50257, 1024, 12
    yield from [(vocabulary, width), (context, width)]
    for _ in range(blocks):
        yield from [(width,), (width,)]  # a norm's weight and bias
        yield from [(width, 3 * width), (3 * width,), (width, width), (width,)]  # attention: in, out
        yield from [(width,), (width,)]
        yield from [(width, 4 * width), (4 * width,), (4 * width, width), (width,)]  # the two layers after it
    yield from [(width,), (width,)]


def resnet50() -> Iterator[tuple[int, ...]]:
    """Yield the shapes of ResNet-50: a first convolution, bottleneck blocks in four stages, and 1000 classes."""
    inside, grows, classes = 64, 4, 1000
    yield from _convolution(inside, 3, 7)
    before = inside
    for stage, blocks in enumerate((3, 4, 6, 3)):
        narrow = inside * 2**stage
        wide = narrow * grows
        for block in range(blocks):
            yield from _convolution(narrow, before, 1)
            yield from _convolution(narrow, narrow, 3)
            yield from _convolution(wide, narrow, 1)
            if block == 0:  # what goes round the first block of a stage is brought to its width
                yield from _convolution(wide, before, 1)
            before = wide
    yield from [(classes, before), (classes,)]


def _convolution(out: int, into: int, side: int) -> Iterator[tuple[int, ...]]:
    """Yield the shapes of a convolution without bias, and of the batch norm after it."""
    yield from [(out, into, side, side), (out,), (out,)]


MODELS: dict[str, Callable[[], Iterator[tuple[int, ...]]]] = {"gpt2": gpt2, "resnet50": resnet50}


def parse(text: str) -> Size:
    """Return the size that a text asks for: `1000`, `100k`, `16M`, `1000x100`, `gpt2`.

    Raises ValueError, naming the text and what was expected, for anything else.
    """
    if text in MODELS:
        return Size(text, tuple(MODELS[text]()))
    count, times, each = text.partition("x")
    tensors, elements = (_number(count), _number(each)) if times else (1, _number(text))
    if tensors is None or elements is None:
        meant = suggestion(text, MODELS)
        raise ValueError(f"{text!r} is no size{meant}; write it {_FORMS}{', '.join(MODELS)}")
    if tensors < 1 or elements < 1:
        raise ValueError(f"the size {text!r} has no elements")
    if elements > MOST:
        raise ValueError(f"the size {text!r} has tensors of {elements:,} elements; up to {MOST:,} are timed")
    if tensors > MOST_TENSORS:
        raise ValueError(f"the size {text!r} has {tensors:,} tensors; up to {MOST_TENSORS:,} are timed")
    return Size(text, ((elements,),) * tensors)


def _number(text: str) -> int | None:
    """Return the whole number that stands as `1500`, `1.5k` or `16M`, or None."""
    found = _NUMBER.fullmatch(text)
    if found is None or len(text) > 20:
        return None
    value = float(found[1]) * _UNITS[found[2]]
    return int(value) if value.is_integer() else None
