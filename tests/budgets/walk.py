# SPDX-License-Identifier: Apache-2.0
"""Walks one thread through a kernel's machine code, from entry to exit, and counts what it issues. For sass.py.

Integers, addresses and predicates are computed from the launch (parameters, grid, block, thread), so branches and loops
go as they would on a device. A value from memory, from another thread or from an instruction not known here is unknown
(None), and so is what is computed from it. A branch on an unknown takes the longer way that does not call a slow path
(those of reciprocals and divisions are functions). So the count is that of the thread's longest hot path in that
launch. Instructions whose predicate is false count: they are issued.
"""
import collections
import math
import struct

from listing import LOADS, STORES, TRUE, ZERO

MASK = 0xFFFFFFFF
STEPS = 4_000_000
SPECIAL = {"SRZ": 0, "SR_CgaCtaId": 0, "SR_CTAID.Y": 0, "SR_CTAID.Z": 0}


def single(value):
    """A float rounded to 32 bits, as bits."""
    try:
        return struct.unpack("<I", struct.pack("<f", value))[0]
    except OverflowError:
        return 0x7F800000 | (0x80000000 if value < 0 else 0)


def as_float(bits):
    return None if bits is None else struct.unpack("<f", struct.pack("<I", bits))[0]


def signed(value, bits=32):
    return value - (1 << bits) if value >> (bits - 1) else value


class Launch:
    """What all threads share. constants: {byte offset: 32-bit word} of bank 0; tensors: {address >> 40: name}."""

    def __init__(self, instructions, labels, constants, tensors):
        self.code, self.constants, self.tensors = instructions, constants, tensors
        self.at = {instruction.address: i for i, instruction in enumerate(instructions)}
        self.labels = {name: self.at.get(address) for name, address in labels.items()}
        self.far = self.distances()

    def successors(self, i):
        instruction = self.code[i]
        target = self.labels.get(instruction.target)
        if instruction.op == "BRA" and ".DIV" not in instruction.full and target is not None:
            conditional = instruction.guard or any(s.kind == "p" and s.value != TRUE for s in instruction.sources)
            return [target] + ([i + 1] if conditional else [])
        if instruction.op in ("EXIT", "RET", "BRX", "JMP", "KILL") and not instruction.guard:
            return []
        return [i + 1] if i + 1 < len(self.code) else []

    def distances(self):
        """Longest way from each instruction to the exit without a cycle or a call; minus infinity if all ways call."""
        far, state, stack = {}, {}, [i for i in self.labels.values() if i is not None] + [0]  # the entry first
        while stack:
            i = stack[-1]
            if state.get(i) == 2:
                stack.pop()
                continue
            ways = self.successors(i)
            if not state.get(i):
                state[i] = 1
                new = [way for way in ways if not state.get(way)]
                if new:
                    stack += new
                    continue
            called = self.code[i].op == "CALL"
            known = [far[way] for way in ways if way in far]
            ends = self.code[i].op == "EXIT"
            far[i] = -math.inf if called or not (known or ends) else 1 + max(known, default=0)
            state[i] = 2
            stack.pop()
        return far


class Walk:
    """One thread's way, and the counters that run() fills."""

    def __init__(self, launch, special):
        self.launch, self.special = launch, {**SPECIAL, **special}
        self.r = {}
        self.issued, self.rounds = 0, 0
        self.before_fetch = None  # (instructions, rounds, barriers) before the first cp.async
        self.ops, self.access = collections.Counter(), collections.Counter()
        self.flight = self.row_flight = 0
        self.pending, self.loads = {}, []  # register -> load; loads in flight as (number, bytes, bytes of rows)
        self.groups, self.group = [], [0, 0]
        self.number = self.seen = 0
        self.shared = {}  # address in shared memory -> word that this thread wrote there

    # Values.
    def word(self, operand, high=False):
        kind = operand.kind
        if kind == "r":
            value = 0 if operand.value == ZERO else self.r.get(operand.value + high)
        elif kind == "i":
            value = operand.value if not high else (MASK if operand.value >> 31 else 0)
        elif kind == "f":
            value = single(operand.value)
        elif kind == "c":
            bank, base = operand.value
            base = 0 if base is None or base == ZERO else self.r.get(base)
            known = base is not None and bank == "0x0"
            value = self.launch.constants.get(base + operand.offset + 4 * high) if known else None
            if bank == "0x2" and not high:  # before sm_90: where a shared variable lies, one value each
                value = operand.offset << 16
        elif kind == "x":
            value = self.special.get(operand.value)
        else:
            value = None
        if value is not None and operand.negated == "~":
            value ^= MASK
        return value

    def integer(self, operand):
        """With a minus sign carried out in 33 bits, so that borrows come out right."""
        value = self.word(operand)
        return (1 << 32) - value if value is not None and operand.negated == "-" else value

    def double_word(self, operand):
        low, high = self.word(operand), 0 if operand.kind == "r" and operand.value == ZERO else self.word(operand, True)
        return None if low is None or high is None else low | high << 32

    def real(self, operand):
        value = as_float(self.word(operand))
        if value is None:
            return None
        value = abs(value) if operand.absolute else value
        return -value if operand.negated == "-" else value

    def truth(self, operand):
        if operand is None or operand.value == TRUE:
            value = True
        else:
            value = self.r.get(operand.value)
        return value if value is None or operand is None or not operand.negated else not value

    def address(self, operand):
        total = operand.offset
        for part in operand.value:
            value = self.double_word(part) if part.wide else self.word(part)
            if value is None:
                return None
            total += value
        return total

    # Effects.
    def store(self, instruction, value, words=1):
        """Write `value` (of 32 bits, or 64 where the instruction has a pair) to the first register result."""
        if instruction.out is None:
            return
        self.r[instruction.out] = None if value is None else value & MASK
        if words == 2:
            self.r[instruction.out + 1] = None if value is None else value >> 32 & MASK

    def in_flight(self, which):
        return sum(load[which] for load in self.loads) + sum(g[which - 1] for g in self.groups) + self.group[which - 1]

    def wait(self):
        self.flight = max(self.flight, self.in_flight(1))
        self.row_flight = max(self.row_flight, self.in_flight(2))

    def touch(self, registers):
        last = max((self.pending[n] for n in registers if n in self.pending), default=None)
        if last is not None:
            self.wait()
            if last > self.seen:  # else its latency was waited for together with an earlier one's
                self.rounds += 1
                self.seen = self.number
            self.loads = [load for load in self.loads if load[0] > last]
            self.pending = {n: load for n, load in self.pending.items() if load > last}

    def memory(self, instruction, op):
        operand = next(o for o in instruction.sources[op == "LDGSTS":] if o.kind == "m")
        address = self.address(operand)
        name = "?" if address is None else self.launch.tensors.get(address >> 40, "?")
        kind = {"STG": "store", "ST": "store", "LDG": "load", "LD": "load", "LDGSTS": "async", "LDS": "shared load",
                "STS": "shared store"}.get(op, "local")
        if op in ("LDS", "STS", "LDL", "STL"):
            name = ""
        size = instruction.bytes
        self.access[kind, name, size] += 1
        rows = size if name in ("x", "dy") else 0
        if op == "LDGSTS":
            self.group[0] += size
            self.group[1] += rows
        elif op in ("LDG", "LD"):
            self.number += 1
            self.loads.append((self.number, size, rows))
            for n in instruction.writes:
                self.pending[n] = self.number

    def store_shared(self, instruction, op):
        """Shared memory as this thread alone sees it: a kernel may store a value there and read it back."""
        address = self.address(next(o for o in instruction.sources if o.kind == "m"))
        if address is None:
            self.shared.clear()  # it may have been any address
            return
        data = instruction.sources[-1]
        for i in range(0, instruction.bytes, 4):
            register = data.kind == "r" and op == "STS"
            value = (0 if data.value == ZERO else self.r.get(data.value + i // 4)) if register else None
            self.shared[address + i] = value

    def load_shared(self, instruction):
        address = self.address(next(o for o in instruction.sources if o.kind == "m"))
        for i, n in enumerate(sorted(instruction.writes)):
            self.r[n] = None if address is None else self.shared.get(address + 4 * i)

    def step(self, instruction, arithmetic):
        op, guard = instruction.op, self.truth(instruction.guard) if instruction.guard else True
        if op == "LDGSTS" and self.before_fetch is None:
            self.before_fetch = self.issued - 1, self.rounds, self.ops["BAR"]
        self.ops[op] += 1
        if self.pending:
            self.touch(instruction.reads)
        if guard is False:
            return
        for n in instruction.writes:
            self.pending.pop(n, None)
        if op == "LDGDEPBAR":
            self.groups.append(self.group)
            self.group = [0, 0]
        elif op == "DEPBAR" and self.groups:
            left = next((o.value for o in instruction.sources if o.kind == "i"), 0)
            if len(self.groups) > left:
                self.wait()
                self.rounds += 1
                self.groups = self.groups[len(self.groups) - left:]
        elif op in LOADS or op in STORES:
            last = instruction.sources[-1]
            if not (op == "LDGSTS" and last.kind == "p" and self.truth(last) is False):  # else it only writes zeros
                self.memory(instruction, op)
        if op in ("STS", "LDGSTS"):
            self.store_shared(instruction, op)
        if not instruction.writes:
            return
        before = [(n, self.r.get(n)) for n in instruction.writes] if guard is None else ()
        function = arithmetic.get(op)
        if op == "LDS":
            self.load_shared(instruction)
        elif function:
            function(self, instruction)
        else:
            self.r.update((n, None) for n in instruction.writes)
        self.r.update((n, None) for n, value in before if self.r.get(n) != value)  # it may not have happened

    def branch(self, i, instruction):
        """The index after a branch."""
        target = self.launch.labels.get(instruction.target)
        if ".DIV" in instruction.full or target is None:
            return i + 1
        if ".CONV" in instruction.full:
            return target
        taken = self.truth(instruction.guard) if instruction.guard else True
        for source in instruction.sources:
            if source.kind == "p":
                also = self.truth(source)
                taken = False if taken is False or also is False else None if taken is None or also is None else True
        if taken is None:
            there, here = (self.launch.far.get(n, -math.inf) for n in (target, i + 1))
            taken = there > here and (target > i or here == -math.inf)  # backwards only around a slow path
        return target if taken else i + 1

    def run(self, arithmetic):
        i, code, joins, returns = 0, self.launch.code, {}, []
        while self.issued < STEPS:
            instruction = code[i]
            op = instruction.op
            self.issued += 1
            self.step(instruction, arithmetic)
            after = i + 1
            if op == "BRA":
                after = self.branch(i, instruction)
            elif op == "EXIT" and self.truth(instruction.guard) or op == "KILL":
                self.wait()
                return self
            elif op == "RET" and self.truth(instruction.guard) is not False:
                after = returns.pop()
            elif op == "BSSY":
                joins[instruction.sources[0].value] = self.launch.labels[instruction.target]
            elif op == "BSYNC" and self.truth(instruction.guard) is not False:
                after = joins.get(instruction.sources[0].value, after)
            elif op == "CALL" and self.truth(instruction.guard):  # of integers' division, say
                returns.append(after)
                after = self.launch.labels[instruction.target]
            i = after
        raise RuntimeError(f"no exit after {STEPS} instructions (near {code[i].address:#x})")
