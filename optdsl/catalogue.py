"""What there is among the bundled rules, and how they are related.

Bundled files are in the canonical layout and free of errors, so that a few patterns tell what a list of them needs:
the compiler would take seconds for all of them. A test holds these answers to the compiler's.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from optdsl import bundled
from optdsl.source import SourceFile, read
from optdsl.syntax.layout import SECTIONS, logical_lines
from optdsl.syntax.names import spell

FAMILIES = ("gradient descent", "Adam", "adaptive rates", "sign", "layer-wise", "schedule-free", bundled.TRANSFORM)
"""The families of the bundled rules, in the order they are shown."""

FLOAT32 = 4
"""Bytes of a float32 number, the type of a state unless it has one of its own."""

_HEADER = re.compile(r"rule\s+(\w+)\s*\([^)]*\)\s*(?:from\s+([\w/]+)|=\s*([^\"]*))?")
_STRING = re.compile(r'"([^"\n]*)"')
_STATE = re.compile(r'(\w+)(?:\s*:\s*(\w+))?\s*=\s*(?:(?!\bwhen\b)[^"])*(?:\bwhen\b\s*([^"]*))?')
_HYPER = re.compile(r"(\w+)\s*=\s*(\S+)")
_EQUALS = re.compile(r"equals\s+(\w+)\s*(.*)", re.DOTALL)
_TEST = re.compile(r"(not\s+)?(\w+)(?:\s*(==|!=|<=|>=|<|>)\s*(\S+))?")
_COMPARE: Mapping[str, Callable[[float, float], bool]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class StateBytes:
    """A state's bytes per parameter beside float32 parameters, 0 where it is one number per tensor.

    `when` is the condition under which it exists, as written, "" for always.
    """

    name: str
    bytes: int
    when: str


@dataclass(frozen=True, slots=True)
class Claim:
    """`equals OTHER rest`: `other` is a bundled name, or as written where there is none."""

    other: str
    rest: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A bundled rule.

    Attributes:
        name: Its file, such as `adam` or `flux/adam`.
        title: Its class.
        doc: Its first line of documentation.
        family: Its family; where it names none, that of the rule at the top with its name, else its base's.
        cites: Its citations, its own before those of its base.
        parts: The bundled rules it is made from: its base, or what it is a chain of.
        chained: Whether it is a chain.
        states: Its states, those of its parts included.
        claims: The rules it claims to equal.
        hypers: Hyperparameters with their defaults, as written.
    """

    name: str
    title: str
    doc: str
    family: str
    cites: tuple[tuple[str, ...], ...]
    parts: tuple[str, ...]
    chained: bool
    states: tuple[StateBytes, ...]
    claims: tuple[Claim, ...]
    hypers: Mapping[str, str]

    @property
    def folder(self) -> str:
        """The folder of a dialect or a transform, "" for the other rules."""
        return self.name.rpartition("/")[0]

    @property
    def stem(self) -> str:
        """The name without the folder."""
        return self.name.rpartition("/")[2]

    @property
    def transform(self) -> bool:
        """Whether it is a gradient transform, a part of chains."""
        return self.name.startswith(bundled.TRANSFORMS)

    @property
    def dialect(self) -> bool:
        """Whether it is a library's form of a rule."""
        return bool(self.folder) and not self.transform

    @property
    def shown(self) -> str:
        """What to call it: by its class, a library's form by its name, a transform by what chains call it."""
        return self.name if self.dialect else self.stem if self.transform else self.title

    @property
    def sentence(self) -> str:
        """What it does, without its name in front and the full stop."""
        return self.doc.removeprefix(f"{self.title}:").strip().removesuffix(".")

    @property
    def origin(self) -> str:
        """Who it is from and when, in short: its first citation, of several authors the first."""
        who = self.cites[0][0] if self.cites else ""
        several = re.fullmatch(r"([^,&]+),.* (\d{4})", who)
        return f"{several[1]} et al. {several[2]}" if several else who

    def bytes_at_defaults(self) -> int:
        """Return the bytes of state per float32 parameter where every hyperparameter is at its default."""
        return sum(state.bytes for state in self.states if not state.when or self._holds(state.when))

    def optional_bytes(self) -> dict[str, int]:
        """Return the bytes that come on top under each condition that the defaults don't meet."""
        found: dict[str, int] = {}
        for state in self.states:
            if state.when and state.bytes and not self._holds(state.when):
                found[state.when] = found.get(state.when, 0) + state.bytes
        return found

    def _holds(self, condition: str) -> bool:
        """Return whether a condition holds at the defaults; one that isn't simple counts as an option."""
        if " or " in condition:
            return any(self._holds(part) for part in condition.split(" or "))
        if " and " in condition:
            return all(self._holds(part) for part in condition.split(" and "))
        match = _TEST.fullmatch(condition.strip())
        if match is None:
            return False
        left = _value(self.hypers.get(match[2], match[2]))
        holds = _COMPARE[match[3]](left, _value(self.hypers.get(match[4], match[4]))) if match[3] else bool(left)
        return holds != bool(match[1])


def _value(text: str) -> float:
    """Return a default as a number, NaN where it is an expression."""
    words = {"true": 1.0, "false": 0.0}
    try:
        return words[text] if text in words else float(text)
    except ValueError:
        return float("nan")


def entries() -> dict[str, Entry]:
    """Return every bundled rule and transform by name, in the order of `bundled.files`."""
    names = bundled.files()
    own = {name: _read(name, names) for name in names}
    done: dict[str, Entry] = {}
    for name in names:
        _complete(name, own, done)
    return {name: done[name] for name in names}


def find(word: str, asking: str, names: list[str] | tuple[str, ...] | dict[str, Entry]) -> str | None:
    """Return the bundled name that a rule means by `word`: beside it, a transform, or at the top; never itself."""
    stem, folder = spell(word).lower(), asking.rpartition("/")[0]
    candidates = [f"{folder}/{stem}" if folder else stem, f"{bundled.TRANSFORMS}{stem}", stem]
    return next((name for name in candidates if name in names and name != asking), None)


def dialects(entry: Entry, among: Mapping[str, Entry]) -> list[str]:
    """Return the rules in folders that are another library's form of a rule: of its name, or made from it."""
    if entry.folder:
        return []
    return [
        other.name for other in among.values()
        if other.dialect and (other.stem == entry.stem or entry.name in other.parts)
    ]  # fmt: skip


def _read(name: str, names: list[str]) -> Entry:
    """Return what a file says itself, without what it takes over."""
    source = read(bundled.folder() / f"{name}.opt")
    title, doc, section = name, "", ""
    family = bundled.TRANSFORM if name.startswith(bundled.TRANSFORMS) else ""
    cites: list[tuple[str, ...]] = []
    parts: list[str] = []
    chained = False
    states: list[StateBytes] = []
    claims: list[Claim] = []
    hypers: dict[str, str] = {}
    for section, line in _lines(source):
        if section == "rule" and (header := _HEADER.match(line)):
            title, chained = header[1], bool(header[3])
            words = re.findall(r"(?:^|\|>)\s*([\w/]+)", header[3]) if header[3] else [header[2]] if header[2] else []
            parts = [find(word, name, names) or word for word in words]
            doc = "".join(_STRING.findall(line))
        elif section == "rule":
            strings = tuple(text.strip() for text in _STRING.findall(line))
            word = line.split(maxsplit=1)[0]
            if word == "cite":
                cites.append(strings)
            elif word == "family":
                family = strings[0]
            else:
                doc = f"{doc} {strings[0]}".strip()
        elif section == "hyper" and (hyper := _HYPER.match(line)):
            hypers[spell(hyper[1])] = hyper[2]
        elif section == "state" and (state := _STATE.match(line)):
            states.append(StateBytes(spell(state[1]), _bytes(state[2]), (state[3] or "").strip()))
        elif section == "claim" and (claim := _EQUALS.match(line)):
            claims.append(Claim(find(claim[1], name, names) or claim[1], claim[2]))
    return Entry(
        name, title, doc, family, tuple(cites), tuple(parts), chained, tuple(states), tuple(claims), hypers
    )  # fmt: skip


def _lines(source: SourceFile) -> Iterator[tuple[str, str]]:
    """Yield the entries of a file on one line each and without comments, with the section they stand in."""
    section = "rule"
    for line in logical_lines(source):
        text = re.sub(r'("[^"\n]*")|#[^\n]*', lambda match: match[1] or "", source.snippet(line.span))
        if text in SECTIONS:
            section = text
        elif text.startswith(("def ", "view ")):
            section = ""
        else:
            yield section, " ".join(text.split())


def _bytes(kind: str | None) -> int:
    return {None: FLOAT32, "scalar": 0, "f64": 8, "f32": 4, "f16": 2, "bf16": 2}.get(kind, FLOAT32)


def _complete(name: str, own: Mapping[str, Entry], done: dict[str, Entry]) -> Entry:
    """Return an entry with what it takes over from its parts, and keep it in `done`."""
    if name in done:
        return done[name]
    entry = own[name]
    parts = [_complete(part, own, done) for part in entry.parts if part in own]
    states = {state.name: state for part in parts for state in part.states} if not entry.chained else {}
    states |= {state.name: state for state in entry.states}
    kept = tuple(states.values()) if not entry.chained else tuple(state for part in parts for state in part.states)
    done[name] = replace(
        entry,
        doc=entry.doc or (f"{entry.title}, made from {parts[0].title}." if parts else ""),
        family=_family(name, own),
        cites=tuple(dict.fromkeys([*entry.cites, *(cite for part in parts for cite in part.cites)])),
        states=kept,
        hypers={key: value for part in parts for key, value in part.hypers.items()} | dict(entry.hypers),
    )
    return done[name]


def _family(name: str, own: Mapping[str, Entry], seen: tuple[str, ...] = ()) -> str:
    """Return the family of an entry, as the compiler finds it; `seen` has the names that led to it."""
    entry, seen = own[name], (*seen, name)
    parts = [part for part in entry.parts if part in own and not (entry.chained and own[part].transform)]
    ways = [way for way in (entry.stem, *parts) if way in own and way not in seen]
    return entry.family or next((found for way in ways if (found := _family(way, own, seen))), "")
