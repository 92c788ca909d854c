"""Sizes: what can be asked for, and the shapes of models."""

from __future__ import annotations

import pytest

from optdsl.bench import sizes
from optdsl.bench.sizes import parse


@pytest.mark.parametrize(("name", "tensors", "elements"), [("gpt2", 148, 124_439_808), ("resnet50", 161, 25_557_032)])
def test_models_have_their_parameters(name: str, tensors: int, elements: int) -> None:
    size = parse(name)
    assert (size.tensors, size.elements) == (tensors, elements)


def test_shapes_of_models() -> None:
    gpt2, resnet = parse("gpt2").shapes, parse("resnet50").shapes
    assert gpt2[:2] == ((50257, 768), (1024, 768))
    assert gpt2.count((768, 2304)) == gpt2.count((3072, 768)) == 12
    assert resnet[:2] == ((64, 3, 7, 7), (64,))
    assert resnet[-2:] == ((1000, 2048), (1000,))
    assert [shape for shape in resnet if shape[2:] == (1, 1)].count((2048, 1024, 1, 1)) == 1


@pytest.mark.parametrize(
    ("text", "shapes"),
    [
        ("1000", ((1000,),)),
        ("100k", ((100_000,),)),
        ("1.5k", ((1500,),)),
        ("16M", ((16_000_000,),)),
        ("64M", ((64_000_000,),)),
        ("3x100", ((100,),) * 3),
        ("2x1k", ((1000,),) * 2),
    ],
)
def test_sizes_are_read(text: str, shapes: tuple[tuple[int, ...], ...]) -> None:
    size = parse(text)
    assert (size.name, size.shapes) == (text, shapes)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is no size"),
        ("x", "is no size"),
        ("1000x", "is no size"),
        ("-5", "is no size"),
        ("1.5", "is no size"),
        ("1e6", "is no size"),
        ("10x10x10", "is no size"),
        ("9" * 5000, "is no size"),
        ("gpt-2", "did you mean 'gpt2'?"),
        ("0", "has no elements"),
        ("0x100", "has no elements"),
        ("65M", "up to 64,000,000 are timed"),
        ("1000000x1", "up to 100,000 are timed"),
    ],
)
def test_other_sizes_are_refused(text: str, words: str) -> None:
    with pytest.raises(ValueError, match="size") as caught:
        parse(text)
    assert words in str(caught.value)


def test_the_usual_sizes_are_sizes() -> None:
    assert [parse(text).tensors for text in sizes.USUAL] == [1000, 1]
