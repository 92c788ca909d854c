"""The NumPy target: a Python function per variant that works through a tensor in blocks, in place.

Element expressions become single array operations with `out=`. Their results live in block-sized scratch arrays, or
in the arrays of the states themselves where the old value isn't needed any more (`registers.py` decides).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from optdsl.ir.kernel import Kernel, Let, Phase, Program, symbols
from optdsl.ir.nodes import (
    Apply,
    Expr,
    Fold,
    Kind,
    Number,
    Rate,
    Reduce,
    ReduceRows,
    Ref,
    Role,
    RowFold,
    Select,
    Symbol,
    Truth,
    kind,
    rate,
)
from optdsl.targets import python
from optdsl.targets.registers import (
    Block,
    Choice,
    Copy,
    Instruction,
    Operand,
    Place,
    Plan,
    Scalar,
    Step,
    Value,
    allocate,
)
from optdsl.targets.text import Names, Writer, one_line

ARGUMENTS = ("states", "scalars", "hypers", "numbers", "masks", "clip_value", "gradient_scale", "transform", "h",
             "rows", "part")  # fmt: skip
ROW_FOLDS = {
    RowFold.SUM: "total", RowFold.MEAN: "total", RowFold.DOT: "inner", RowFold.NORM: "inner", RowFold.RMS: "inner",
    RowFold.AMAX: "largest",
}  # fmt: skip
"""Methods of `optdsl.runtime.rows.Rows` that accumulate a reduction."""
RESERVED = python.RESERVED | python.MODULE_NAMES | frozenset(ARGUMENTS)


class NumpyTarget:
    """Prints kernels as Python over NumPy arrays."""

    name = "numpy"

    def emit(self, program: Program, stem: str) -> dict[str, str]:
        """Return the module's text."""
        functions = [_Function(kernel, _shaped(program)) for kernel in program.kernels]
        texts = [function.text() for function in functions]
        steps = ", ".join(f"{kernel.variant}: _step_{kernel.variant}" for kernel in program.kernels)
        kernel = [
            "kernel = NumpyKernel(",
            "select=_variant,",
            f"steps={{{steps}}},",
            f"tensor_states={tuple(state.name for state in program.rule.states if not state.scalar)!r},",
            f"numbers={max(function.numbers for function in functions)},",
            f"masks={max(function.masks for function in functions)},",
            f"separable={_separable(program)},",
        ]
        if _shaped(program):
            kernel += ["shaped=True,", f"row_values={max(len(kernel.row_values()) for kernel in program.kernels)},"]
        if program.only_rows:
            kernel.append("rowwise=True,")
        return {f"{stem}.py": python.module(program, "NumPy", texts, kernel)}


def _separable(program: Program) -> bool:
    """Return whether any part of a tensor can be stepped without the rest, scalar states included."""
    read = {s for kernel in program.kernels for let in kernel.lets() for s in symbols(let.value)}
    sized = any(s.role is Role.SIZE for s in read)
    return not sized and not any(phase.folds for kernel in program.kernels for phase in kernel.phases)


def _shaped(program: Program) -> bool:
    """Return whether a step looks at the shape of a tensor: at its rows, or at how many axes it has."""
    read = {s for kernel in program.kernels for let in kernel.lets() for s in symbols(let.value)}
    return any(s.role is Role.NDIM for s in read) or any(kernel.row_values() for kernel in program.kernels)


@dataclass
class _Function:
    """Prints one kernel as one function."""

    kernel: Kernel
    shaped: bool

    def __post_init__(self) -> None:
        self.row_values = self.kernel.row_values()
        self.rule = self.kernel.rule
        self.names = Names(RESERVED)
        self.writer = Writer()
        self.numbers = 0
        self.masks = 0
        self.late = [phase.stores[0].name for phase in self.kernel.followers]
        self.tensors = [
            s for s in self.rule.states if not s.scalar and (s in self.kernel.present or s.name in self.late)
        ]
        self.halves = {state.name for state in self.rule.states if state.storage in ("f16", "bf16")}
        self.scalar_states = [state for state in self.rule.states if state.scalar]
        self.names.of("t", "t")
        for symbol in (self.rule.parameter, self.rule.gradient, *(state.symbol for state in self.tensors)):
            self.names.of(symbol, symbol.name)
        for hyper in self.rule.hypers:
            self.names.of(hyper.symbol, hyper.symbol.name)

    def spell(self, symbol: Symbol) -> str:
        """Return the identifier of a scalar symbol, or of a tensor state before the step."""
        match symbol.role:
            case Role.STEP:
                return "t"
            case Role.SIZE:
                return (
                    "rows.size"
                    if self.shaped
                    else f"float({self.names.of(self.rule.parameter, self.rule.parameter.name)}.size)"
                )
            case Role.NDIM:
                return "rows.ndim"
            case Role.NEW:
                return self.names.of(symbol, f"{symbol.name}_new")
            case _:
                return self.names.of(symbol, symbol.name.replace(".", ""))

    def block_of(self, name: str) -> str:
        """Return the identifier of the current block of a tensor of the rule."""
        return self.names.of(("block", name), f"{name}_")

    def text(self) -> str:
        """Return the function's text."""
        rule, writer = self.rule, self.writer
        arrays = ", ".join(self.spell(symbol) for symbol in (rule.parameter, rule.gradient))
        others = "states, scalars, hypers, t, numbers, masks" + ", rows" * self.shaped
        with writer.block(f"def _step_{self.kernel.variant}({arrays}, {others}):"):
            self._unpack()
            for let in self.kernel.prologue:
                self._scalar_let(let)
            for phase in self.kernel.phases:
                self._phase(phase)
            for let in self.kernel.epilogue:
                self._scalar_let(let)
            for symbol in self.kernel.scalar_stores:
                index = [state.name for state in self.scalar_states].index(symbol.name)
                writer.line(f"scalars[{index}] = {self.spell(symbol)}")
        return writer.text()

    def _unpack(self) -> None:
        states = [state for state in self.rule.states if not state.scalar]
        present = {state.name for state in self.tensors}
        if states:
            names = ", ".join(self.spell(state.symbol) if state.name in present else "_" for state in states)
            self.writer.line(f"({names},) = states")
        read = {symbol for let in self.kernel.lets() for symbol in symbols(let.value)}
        hypers = [self.spell(h.symbol) if h.symbol in read else "_" for h in self.rule.hypers]
        self.writer.line(f"{', '.join([*hypers, 'clip_value', 'gradient_scale'])} = hypers")
        for index, state in enumerate(self.scalar_states):
            if state.symbol in read:
                self.writer.line(f"{self.spell(state.symbol)} = float(scalars[{index}])")
        if self.rule.gradient in read:
            self.writer.line("transform = clip_value < inf or gradient_scale != 1.0")

    def _scalar_let(self, let: Let) -> None:
        self.writer.line(f"{self.spell(let.symbol)} = {python.scalar(let.value, self.spell)}")

    def _lowered(self, phase: Phase) -> tuple[_Lowering, Block, Plan]:
        lowering = _Lowering(self, phase)
        body = lowering.body()
        return lowering, body, allocate(body)

    def _phase(self, phase: Phase) -> None:
        for let in phase.scalars:
            self._scalar_let(let)
        for let in phase.reductions:
            assert isinstance(let.value, Reduce)
            self.writer.line(f"{self.spell(let.symbol)} = {'-inf' if let.value.fold is Fold.AMAX else '0.0'}")
        for let in phase.rows:
            least = "-inf" if _row_fold(let) is RowFold.AMAX else "0.0"
            self.writer.line(f"rows.begin({self.row_values[let.symbol]}, {least})")
        followers = self.kernel.followers if phase is self.kernel.phases[-1] else ()
        (lowering, body, plan), *followed = (self._lowered(each) for each in (phase, *followers))
        plan.numbers = max([plan.numbers, *(own.numbers for _, _, own in followed)])
        plan.masks = max([plan.masks, *(own.masks for _, _, own in followed)])
        self.numbers, self.masks = max(self.numbers, plan.numbers), max(self.masks, plan.masks)
        with self.writer.block(self._loop((phase, *followers), plan)):
            start = len(self.writer.lines)
            self._body(lowering, body, plan)
            for late, (lowered, block, own) in zip(followers, followed, strict=True):
                with self.writer.block(f"if {self.block_of(late.stores[0].name)} is not None:"):
                    self._body(lowered, block, own)
            if all(line.lstrip().startswith("#") for line in self.writer.lines[start:]):
                self.writer.line("pass")
        for let in phase.rows:
            if _row_fold(let) not in (RowFold.SUM, RowFold.DOT):
                self.writer.line(f"rows.finish({self.row_values[let.symbol]}, {str(_row_fold(let))!r})")

    def rows_read(self, phase: Phase) -> list[Symbol]:
        """Return the values of rows that a phase reads."""
        read = phase.reads()
        return [symbol for symbol in self.row_values if symbol in read]

    def _body(self, lowering: _Lowering, body: Block, plan: Plan) -> None:
        """Print what is done with each block."""
        printer = _Printer(self, plan.names, lowering.labels)
        printer.block(body)
        for home, value in lowering.stored:
            if printer.place(value) != printer.place(home):
                self.writer.line(f"np.copyto({printer.place(home)}, {printer.place(value)})")

    def _loop(self, phases: Sequence[Phase], plan: Plan) -> str:
        """Return the line that opens the loop over the blocks."""
        uses = {name for phase in phases for name in _tensors_used(phase)}
        order = [self.rule.parameter, self.rule.gradient, *(state.symbol for state in self.tensors)]
        tensors = [symbol for symbol in order if symbol.name in uses] or [self.rule.parameter]
        variables = [self.block_of(symbol.name) for symbol in tensors]
        variables += [self.names.of(("w", i), f"w{i}") for i in range(plan.numbers)]
        variables += [self.names.of(("k", i), f"k{i}") for i in range(plan.masks)]
        counts = (("numbers", plan.numbers), ("masks", plan.masks))
        scratch = " + ".join(f"{name}[:{count}]" for name, count in counts if count) or "()"
        arrays = ", ".join(self.spell(symbol) for symbol in tensors)
        if phases[0].rows or self.rows_read(phases[0]):
            return f"for ({', '.join(['part', *variables])}) in rows.blocks(({arrays},), {scratch}):"
        return f"for ({', '.join(variables)},) in blocks(({arrays},), {scratch}):"


def _row_fold(let: Let) -> RowFold:
    assert isinstance(let.value, ReduceRows)
    return let.value.fold


def _tensors_used(phase: Phase) -> set[str]:
    """Return the names of the tensors a phase reads or writes."""
    tensors = {s for s in phase.reads() if s.rate is Rate.ELEMENT} | set(phase.stores)
    return {symbol.name for symbol in tensors}


class _Lowering:
    """Turns the element expressions of a phase into single operations."""

    def __init__(self, function: _Function, phase: Phase) -> None:
        self.function = function
        self.phase = phase
        self.values: dict[Symbol, Value] = {}
        self.stored: list[tuple[Place, Value]] = []
        self.labels: dict[int, str] = {}
        self.count = 0
        self.block = Block()
        rule = function.rule
        read = phase.reads()
        self.foreign = {state.name for state in rule.states if state.storage is not None and not state.scalar}
        for state in function.tensors:
            if state.name in self.foreign and state.symbol in read:
                self.values[state.symbol] = self._fresh(Kind.NUMBER)
                self.block.add(Copy(Place(state.name), self.values[state.symbol]))
        if rule.gradient in read:
            self._gradient()
        for symbol in function.rows_read(phase):
            self.values[symbol] = self._fresh(Kind.NUMBER)
            self.block.add(Step("rows.spread", (Scalar(str(function.row_values[symbol])),), self.values[symbol]))

    def _gradient(self) -> None:
        """Clip and scale the gradient, where that was asked for, without touching the caller's array."""
        g = Place(self.function.rule.gradient.name)
        result = self._fresh(Kind.NUMBER)
        self.labels[result.number] = f"{g.name}_used"
        then = Block()
        clipped, low = self._fresh(Kind.NUMBER), self._fresh(Kind.NUMBER)
        then.add(Step("maximum", (g, Scalar("-clip_value")), low))
        then.add(Step("minimum", (low, Scalar("clip_value")), clipped))
        then.add(Step("multiply", (clipped, Scalar("gradient_scale")), result))
        other = Block([Copy(g, result, alias=True)])
        self.block.add(Choice("transform", then, other, result))
        self.values[self.function.rule.gradient] = result

    def body(self) -> Block:
        """Return the operations on one block."""
        for let in self.phase.lets:
            equations = [one_line(self.function.rule.equations[number].text) for number in let.equations]
            self.block.notes.setdefault(len(self.block.items), []).extend(equations)
            if let.symbol in self.phase.stores and let.symbol.name in self.foreign:
                self._store_foreign(let)
                continue
            home = Place(let.symbol.name) if let.symbol in self.phase.stores else None
            value = self._emit(let.value, self.block, home)
            if home is not None and value != home and not (isinstance(value, Value) and value.home == home):
                stored = self._fresh(Kind.NUMBER, home)
                self.block.add(Copy(value, stored))
                value = stored
            if not isinstance(value, Value):
                value = self._as_value(value)
            elif home is not None:
                self.stored.append((home, value))
            self.values[let.symbol] = value
            self.labels.setdefault(value.number, let.symbol.name.replace(".", ""))
        for let in self.phase.reductions:
            assert isinstance(let.value, Reduce)
            args = tuple(self._argument(arg) for arg in let.value.args)
            self.block.add(Instruction(python.FOLDS[let.value.fold], args, self.function.spell(let.symbol)))
        for let in self.phase.rows:
            assert isinstance(let.value, ReduceRows)
            args = tuple(self._argument(arg) for arg in let.value.args)
            square = let.value.fold in (RowFold.NORM, RowFold.RMS)
            row = str(self.function.row_values[let.symbol])
            method = f"rows.{ROW_FOLDS[let.value.fold]}"
            self.block.add(Instruction(method, args * 2 if square else args, row))
        return self.block

    def _argument(self, expr: Expr) -> Operand:
        """Add what computes the argument of a reduction: a value for every element, if it is one number too."""
        operand = self._emit(expr, self.block, None)
        return self._as_value(operand) if isinstance(operand, Scalar) else operand

    def _store_foreign(self, let: Let) -> None:
        """Compute a state that is stored in an element type of its own; who reads it reads it unrounded."""
        value = self._emit(let.value, self.block, None)
        self.values[let.symbol] = value if isinstance(value, Value) else self._as_value(value)
        self.block.add(Copy(self.values[let.symbol], self._fresh(Kind.NUMBER, Place(let.symbol.name, foreign=True))))

    def _as_value(self, operand: Operand) -> Value:
        """Give a name to an intermediate that is a tensor or a number itself."""
        value = self._fresh(Kind.NUMBER)
        self.block.add(Copy(operand, value, alias=isinstance(operand, Place)))
        return value

    def _fresh(self, of: Kind, home: Place | None = None) -> Value:
        self.count += 1
        return Value(self.count, of is Kind.BOOLEAN, home)

    def _emit(self, expr: Expr, block: Block, home: Place | None) -> Operand:
        """Add the operations that compute an expression and return where its value is.

        `home` is the tensor it will be stored in, if any.
        """
        if rate(expr) is not Rate.ELEMENT:
            return Scalar(python.scalar(expr, self.function.spell))
        match expr:
            case Ref(symbol):
                return self.values[symbol] if symbol in self.values else Place(symbol.name)
            case Apply(op, args):
                operands = tuple(self._emit(arg, block, None) for arg in args)
                result = self._fresh(kind(expr), home)
                block.add(Step(python.UFUNCS[op], operands, result))
                return result
            case Select(condition, chosen, other) if rate(condition) is not Rate.ELEMENT:
                return self._choose(python.scalar(condition, self.function.spell), chosen, other, block, home)
            case Select(condition, chosen, other):
                mask = self._emit(condition, block, None)
                first, second = self._emit(chosen, block, None), self._emit(other, block, None)
                result = self._fresh(kind(expr), home)
                block.add(Step("select", (mask, first, second), result))
                return result
            case Number() | Truth() | Reduce() | ReduceRows():
                raise TypeError("not an element expression")

    def _choose(self, condition: str, chosen: Expr, other: Expr, block: Block, home: Place | None) -> Value:
        result = self._fresh(kind(chosen), home)
        arms = []
        for arm in (chosen, other):
            inner = Block()
            self._into(arm, result, inner, home)
            arms.append(inner)
        block.add(Choice(condition, arms[0], arms[1], result))
        return result

    def _into(self, expr: Expr, result: Value, block: Block, home: Place | None) -> None:
        """Add operations that leave the value of an arm in `result`."""
        if isinstance(expr, Select) and rate(expr.condition) is not Rate.ELEMENT and rate(expr) is Rate.ELEMENT:
            arms = [Block(), Block()]
            self._into(expr.chosen, result, arms[0], home)
            self._into(expr.other, result, arms[1], home)
            condition = python.scalar(expr.condition, self.function.spell)
            block.add(Choice(condition, arms[0], arms[1], result))
            return
        value = self._emit(expr, block, home)
        if (
            isinstance(value, Value)
            and block.items
            and isinstance(block.items[-1], Step)
            and block.items[-1].result is value
        ):
            last = block.items.pop()
            assert isinstance(last, Step)
            block.add(Step(last.ufunc, last.operands, result))
        else:
            block.add(Copy(value, result, alias=home is None and not isinstance(value, Scalar)))


class _Printer:
    """Prints the operations of a block, each value under the name it was allotted."""

    def __init__(self, function: _Function, names: dict[int, str], labels: dict[int, str]) -> None:
        self.function = function
        self.names = names
        self.labels = labels
        self.writer = function.writer

    def place(self, operand: Operand) -> str:
        match operand:
            case Scalar(text):
                return text
            case Place(name):
                return self.function.block_of(name)
            case Value(number):
                return self._spell(self.names[number])

    def _spell(self, allotted: str) -> str:
        kind_, _, name = allotted.partition(":")
        if kind_ == "home":
            return self.function.block_of(name)
        if kind_ == "variable":
            return self.function.names.of(("variable", name, self), self.labels.get(int(name), "u"))
        return self.function.names.of((kind_, int(name)), f"{kind_}{name}")

    def block(self, block: Block) -> None:
        for index, item in enumerate(block.items):
            for note in block.notes.get(index, ()):
                self.writer.line(f"# {note}")
            self._item(item)
        for note in block.notes.get(len(block.items), ()):
            self.writer.line(f"# {note}")

    def _item(self, item: Step | Copy | Choice | Instruction) -> None:
        match item:
            case Instruction(method, operands, row) if method.startswith("rows."):
                self.writer.line(f"{method}({', '.join([row, 'part', *(self.place(each) for each in operands)])})")
            case Step("rows.spread", (row_of,), result):
                self.writer.line(f"rows.spread({self.place(row_of)}, part, {self.out(result)})")
                self._bind(result)
            case Instruction(function, operands, target):
                value = f"{function}({', '.join(self.place(operand) for operand in operands)})"
                self.writer.line(
                    f"{target} = np.maximum({target}, {value}).item()"
                    if function == "largest"
                    else f"{target} += {value}"
                )
            case Step("select", operands, result):
                arguments = ", ".join(self.place(operand) for operand in operands)
                self.writer.line(f"pick({arguments}, {self.out(result)})")
                self._bind(result)
            case Step(ufunc, operands, result):
                arguments = ", ".join(self.place(operand) for operand in operands)
                self.writer.line(f"np.{ufunc}({arguments}, out={self.out(result)})")
                self._bind(result)
            case Copy(source, result, alias):
                if alias and result.number in self.variables:
                    self.writer.line(f"{self.place(result)} = {self.place(source)}")
                elif self.place(source) != self.out(result):
                    self._copy(source, result)
                    self._bind(result)
            case Choice(condition, then, other, _):
                self._arm(f"if {condition}:", then)
                self._arm("else:", other)

    def _arm(self, opening: str, block: Block) -> None:
        """Print an arm of a branch; one that finds its value in place already has nothing to do."""
        lines = self.writer.lines
        with self.writer.block(opening):
            start = len(lines)
            self.block(block)
            if len(lines) == start:
                self.writer.line("pass")
        if lines[-1].strip() == "pass" and opening == "else:":
            del lines[-2:]

    @property
    def variables(self) -> set[int]:
        return {number for number, allotted in self.names.items() if allotted.startswith("variable:")}

    def _copy(self, source: Operand, result: Value) -> None:
        """Print a copy into an array, which may be of an element type that takes a rounding of its own."""
        home = result.home
        out, value = self.out(result), self.place(source)
        if home is not None and home.name in self.function.halves:
            self.writer.line(f"store({value}, {out})")
        else:
            self.writer.line(f"np.copyto({out}, {value})")

    def out(self, result: Value) -> str:
        """Return the array a result is written to, which its name may only be bound to afterwards."""
        return self._spell(self.names.get(-result.number, self.names[result.number]))

    def _bind(self, result: Value) -> None:
        if self.out(result) != self.place(result):
            self.writer.line(f"{self.place(result)} = {self.out(result)}")


TARGET = NumpyTarget()
