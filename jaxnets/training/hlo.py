"""What a compiled program costs to run, read from its text (optimized HLO): kernels, memory traffic, communication.

The compilers' own cost analysis does not serve: that for GPUs has no figures for library calls, and both count the body of a
loop once, whereas a training program is one loop over an epoch.
"""

import functools
import math
import re
from typing import NamedTuple


class ProgramCosts(NamedTuple):
    """Of one run of a program on one device."""

    kernels: float = 0
    """Kernels that the device is given: fused operations, library calls, copies, collectives."""
    bytes: float = 0
    """Read from and written to the device's memory, if nothing stays in a cache between two kernels."""
    collective_bytes: float = 0
    """Results of collectives: what is exchanged between devices, up to a factor below 2."""
    collectives: float = 0
    """How often devices exchange something, each time waiting for one another."""

    def __add__(self, other: tuple) -> "ProgramCosts":
        return ProgramCosts(*(a + b for a, b in zip(self, other, strict=True)))


class _Instruction(NamedTuple):
    name: str
    shape: str
    op: str
    arguments: str
    """The text between its parentheses."""
    attributes: str
    is_root: bool

    @property
    def operands(self) -> list[str]:
        return re.findall(r"%([\w.\-]+)", self.arguments)


_BYTES = {"pred": 1, "s4": 0.5, "u4": 0.5, "bf16": 2, "c64": 8, "c128": 16}
_FREE = {
    *("parameter", "constant", "get-tuple-element", "tuple", "bitcast", "after-all", "partition-id", "replica-id"),
    *("opt-barrier", "add-dependency"),
}
_COLLECTIVES = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute", "collective-broadcast")
_SLICES = ("dynamic-slice", "gather", "slice")
_SCALAR = re.compile(r"\w+\[\]\{:T\(")
"""A single number in a TPU's program: its scalar unit, which is no kernel, counts loops and computes places with them."""
_HEAD = re.compile(r"^\s+(ROOT )?%?([\w.\-]+) = ")
_ARRAY = re.compile(r"\b([a-z]+\d*\w*)\[([\d,]*)\](?:\{([^}]*)\})?")


def program_costs(text: str) -> ProgramCosts:
    """The costs of a program from `compiled.as_text()`, with every loop counted as often as it turns.

    >>> program_costs('''HloModule m
    ... ENTRY %main (x: f32[4]) -> f32[4] {
    ...   %x = f32[4]{0} parameter(0)
    ...   ROOT %y = f32[4]{0} tanh(%x)
    ... }''')
    ProgramCosts(kernels=1, bytes=32.0, collective_bytes=0, collectives=0)
    """
    program = _Program(text)
    return program.costs(program.entry)


def array_bytes(shape: str, on_chip: bool = False) -> float:
    """Bytes of the arrays of a shape, without those that a TPU holds in its own vector memory, `S(1)`, or with them.

    >>> array_bytes("(f32[2,3]{1,0}, s32[]{:T(128)}, bf16[8]{0:T(8,128)S(1)})")
    28.0
    """
    return sum(
        float(_item_bytes(kind)) * math.prod(int(size) for size in sizes.split(",") if size)
        for kind, sizes, layout in _ARRAY.findall(shape)
        if on_chip or "S(1)" not in layout
    )


def _item_bytes(kind: str) -> float:
    if kind in _BYTES:
        return _BYTES[kind]
    bits = re.match(r"[a-z]+(\d+)", kind)
    return int(bits[1]) / 8 if bits else 0


def _closing(text: str, start: int) -> int:
    """The place of the parenthesis that closes the one at `start`."""
    depth = 0
    for place in range(start, len(text)):
        depth += {"(": 1, ")": -1}.get(text[place], 0)
        if depth == 0:
            return place
    raise ValueError(f"no end of {text[start : start + 40]!r}")


def _parse(line: str) -> _Instruction | None:
    head = _HEAD.match(line)
    if not head:
        return None
    rest = line[head.end() :]
    end = _closing(rest, 0) + 1 if rest.startswith("(") else rest.index(" ")
    opening = rest.index("(", end)
    closing = _closing(rest, opening)
    operation, arguments, attributes = rest[end:opening].strip(), rest[opening + 1 : closing], rest[closing + 1 :]
    return _Instruction(head[2], rest[:end], operation, arguments, attributes, bool(head[1]))


class _Program:
    """The computations of a module by name."""

    def __init__(self, text: str) -> None:
        self.computations: dict[str, dict[str, _Instruction]] = {}
        self.entry = ""
        current: dict[str, _Instruction] = {}
        for line in text.splitlines():
            if opened := re.match(r"^(ENTRY )?%?([\w.\-]+) \(.*\{\s*$", line):
                current = self.computations.setdefault(opened[2], {})
                self.entry = opened[2] if opened[1] else self.entry
            elif instruction := _parse(line):
                current[instruction.name] = instruction
        self.costs = functools.cache(self._costs)

    def _costs(self, computation: str) -> ProgramCosts:
        inside = self.computations[computation]
        return functools.reduce(ProgramCosts.__add__, (self._of(each, inside) for each in inside.values()), ProgramCosts())

    def _of(self, instruction: _Instruction, inside: dict[str, _Instruction]) -> ProgramCosts:
        op, attributes = instruction.op, instruction.attributes
        if op in _FREE or op.endswith("-done"):
            return ProgramCosts()
        if op == "while":
            turns = self._turns(attributes)
            return ProgramCosts(*(turns * cost for cost in self.costs(_called(attributes, "body"))))
        if op == "conditional":
            branches = re.search(r"branch_computations=\{([^}]*)\}", attributes)
            names = (
                re.findall(r"[\w.\-]+", branches[1])
                if branches
                else [_called(attributes, f"{b}_computation") for b in _BOOL]
            )
            return max(self.costs(name) for name in names)
        if op in ("call", "async-start"):
            return self.costs(_called(attributes, "to_apply" if op == "call" else "calls"))
        if _SCALAR.match(instruction.shape) and op not in ("fusion", "custom-call", *_COLLECTIVES):
            return ProgramCosts()
        is_exchange = op.removesuffix("-start") in _COLLECTIVES
        exchanged = array_bytes(instruction.shape, on_chip=True) if is_exchange else 0
        return ProgramCosts(1, self._traffic(instruction, inside), exchanged, int(is_exchange))

    def _turns(self, attributes: str) -> int:
        """How often a loop turns: as the compiler states it, else the number that its condition compares with."""
        if stated := re.search(r'"known_trip_count":\{"n":"(\d+)"', attributes):
            return int(stated[1])
        condition = self.computations[_called(attributes, "condition")].values()
        limits = [int(each.arguments) for each in condition if each.op == "constant" and each.arguments.isdigit()]
        return max(limits, default=1)

    def _traffic(self, instruction: _Instruction, inside: dict[str, _Instruction]) -> float:
        """Bytes that a kernel reads and writes. Of what is only sliced, or written in place, the part counts."""
        if instruction.op != "fusion":
            reads = [_read(name, inside[name], [instruction]) for name in instruction.operands if name in inside]
            return sum(reads) + _written(instruction, inside)
        fused = self.computations[_called(instruction.attributes, "calls")]
        users = list(fused.values())
        reads = [_read(each.name, each, users) for each in users if each.op == "parameter"]
        root = next(each for each in users if each.is_root)
        return sum(reads) + _written(root, fused)


_BOOL = ("true", "false")


def _called(attributes: str, role: str) -> str:
    found = re.search(rf"\b{role}=%?([\w.\-]+)", attributes)
    if not found:
        raise ValueError(f"no {role} in {attributes[:80]!r}")
    return found[1]


def _read(name: str, source: _Instruction, users: list[_Instruction]) -> float:
    """Bytes of the array `name`, which `source` gives, that `users` read."""
    total = 0.0
    for user in users:
        if name not in user.operands:
            continue
        if user.op in _SLICES and user.operands[0] == name:
            total += array_bytes(user.shape)
        elif user.op == "bitcast":
            total += _read(user.name, source, users)
        elif user.op != "dynamic-update-slice" or user.operands[0] != name:
            return array_bytes(source.shape)
    return min(total, array_bytes(source.shape))


def _written(instruction: _Instruction, inside: dict[str, _Instruction]) -> float:
    """Bytes that a result writes: where it is an array with a part replaced, that part."""
    known = [inside[name] for name in instruction.operands if name in inside]
    if instruction.op == "dynamic-update-slice" and len(known) > 1:
        return array_bytes(known[1].shape)
    if instruction.op == "copy-start":
        return array_bytes(instruction.shape.lstrip("(").split(", ")[0])  # Then come the source and a flag.
    if instruction.op == "tuple":
        return sum(_written(each, inside) for each in known)
    if instruction.op == "bitcast" and known:
        return _written(known[0], inside)
    return array_bytes(instruction.shape)
