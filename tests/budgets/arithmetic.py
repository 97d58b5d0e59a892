# SPDX-License-Identifier: Apache-2.0
"""What the instructions of sm_70 to sm_120 compute, as far as addresses, loops and branches need it. For walk.py:
INSTRUCTIONS is {name: function(walk, instruction)}; each writes its results, None for unknown."""
import math
import struct

from listing import TRUE
from walk import MASK, as_float, signed, single


def known(*values):
    return None not in values


def predicates(i):
    return [o for o in i.results if o.kind == "p"]


def set_predicate(walk, operand, value):
    if operand.value != TRUE:
        walk.r[operand.value] = value


def carries(walk, instruction, total):
    for i, operand in enumerate(predicates(instruction)):
        set_predicate(walk, operand, None if total is None else (total >> 32) > i)


def carry_in(walk, operands):
    total = 0
    for operand in operands:
        if operand.kind == "p":
            value = walk.truth(operand)
            if value is None:
                return None
            total += value
    return total


def mov(walk, i):
    walk.store(i, walk.double_word(i.sources[0]) if ".64" in i.full else walk.word(i.sources[0]),
               2 if ".64" in i.full else 1)


def add(walk, i):
    if ".64" in i.full:
        values = [walk.double_word(o) for o in i.sources if o.kind != "p"]
        values = [v if v is None or o.negated != "-" else -v for v, o in zip(values, i.sources)]
        walk.store(i, sum(values) if known(*values) else None, 2)
        return
    values = [walk.integer(o) for o in i.sources if o.kind != "p"]
    carry = carry_in(walk, i.sources) if ".X" in i.full else 0
    total = sum(values) + carry if known(*values, carry) else None
    walk.store(i, None if total is None else total & MASK)
    carries(walk, i, total)


def imad(walk, i):
    a, b, c = i.sources[:3]
    both_signed = ".U32" not in i.full
    x, y = walk.word(a), walk.word(b)
    zero = x == 0 or y == 0
    if ".WIDE" in i.full or ".HI" in i.full:
        z = walk.double_word(c) if c.kind != "i" else c.value
        if not known(z) or not (zero or known(x, y)):
            walk.store(i, None, 2 if ".WIDE" in i.full else 1)
            return carries(walk, i, None)
        product = 0 if zero else (signed(x) * signed(y) if both_signed else x * y)
        if a.negated == "-" or b.negated == "-":
            product = -product
        if c.negated == "-":
            z = (1 << 64) - z
        total = (product & (1 << 64) - 1) + z
        if ".X" in i.full:
            carry = carry_in(walk, i.sources[3:])
            total = None if carry is None else total + carry
        if ".WIDE" in i.full:
            walk.store(i, total, 2)
            for operand in predicates(i):
                set_predicate(walk, operand, None if total is None else total >> 64 > 0)
        else:
            walk.store(i, None if total is None else total >> 32 & MASK)
        return None
    z, carry = walk.integer(c), carry_in(walk, i.sources[3:]) if ".X" in i.full else 0
    if not known(z, carry) or not (zero or known(x, y)):
        return walk.store(i, None)
    product = 0 if zero else x * y
    product = -product if (a.negated == "-") != (b.negated == "-") else product
    return walk.store(i, (product + z + carry) & MASK)


def lea(walk, i):
    values = [o for o in i.sources if o.kind != "p"]
    shift = values[-1].value if values[-1].kind == "i" else walk.word(values[-1])
    a, b = walk.integer(values[0]), walk.integer(values[1])
    carry = carry_in(walk, i.sources) if ".X" in i.full else 0
    if not known(a, b, shift, carry):
        walk.store(i, None)
        return carries(walk, i, None)
    if ".HI" in i.full:
        if "SX32" in i.full:
            high = MASK if a >> 31 & 1 else 0
        else:
            high = walk.word(values[2]) if len(values) > 3 else 0
        if high is None:
            walk.store(i, None)
            return carries(walk, i, None)
        total = ((high << 32 | a & MASK) << shift >> 32 & MASK) + b + carry
    else:
        negative = values[0].negated == "-"
        raw = walk.word(values[0])
        shifted = (1 << 32) - (raw << shift & MASK) if negative else a << shift & MASK
        total = shifted + b + carry
    walk.store(i, total & MASK)
    return carries(walk, i, total)


def lop3(walk, i):
    values = [o for o in i.sources if o.kind != "p"]
    words, table = [walk.word(o) for o in values[:3]], values[3].value
    if table == 0xC0 and 0 in words[:2]: # an and with zero
        words[:2] = 0, 0
    # An input that the table does not look at may be unknown.
    for n in range(3):
        bit = 4 >> n
        if words[n] is None and all(table >> k & 1 == table >> (k ^ bit) & 1 for k in range(8)):
            words[n] = 0
    result = None
    if known(*words):
        (a, b, c), result = words, 0
        for k in range(8):
            if table >> k & 1:
                result |= (a if k & 4 else ~a) & (b if k & 2 else ~b) & (c if k & 1 else ~c)
        result &= MASK
    if any(o.kind == "r" for o in i.results):
        walk.store(i, result)
    for o in predicates(i):
        set_predicate(walk, o, None if result is None else result != 0)


def plop3(walk, i):
    inputs = [walk.truth(o) for o in i.sources if o.kind == "p"][:3]
    tables = [o.value for o in i.sources if o.kind == "i"]
    for operand, table in zip(i.results, tables):
        outcomes = {table >> k & 1 for k in range(8)
                    if all(v is None or v == bool(k & bit) for v, bit in zip(inputs, (4, 2, 1)))}
        set_predicate(walk, operand, bool(outcomes.pop()) if len(outcomes) == 1 else None)


def shf(walk, i):
    low, shift, high = (walk.word(o) for o in i.sources[:3])
    if low is None and ".R" in i.full and ".HI" in i.full and "64" not in i.full:
        low = 0
    if high is None and ".L" in i.full and ".HI" not in i.full:
        high = 0
    if not known(low, shift, high):
        return walk.store(i, None)
    shift = min(shift & 0xFF, 64) if ".W" not in i.full else shift & 31
    value = high << 32 | low
    if ".R" in i.full:
        value = (signed(value, 64) if ".S" in i.full else value) >> shift
    else:
        value <<= shift
    return walk.store(i, value >> 32 & MASK if ".HI" in i.full else value & MASK)


def compare(op, a, b):
    return {"LT": a < b, "LE": a <= b, "GT": a > b, "GE": a >= b, "EQ": a == b, "NE": a != b}[op]


def combine(how, a, b):
    if how == "AND":
        return False if a is False or b is False else None if None in (a, b) else True
    if how == "OR":
        return True if a is True or b is True else None if None in (a, b) else False
    return None if None in (a, b) else a != b


def two_results(walk, i, outcome, how, other):
    for operand, value in zip(i.results, (outcome, None if outcome is None else not outcome)):
        set_predicate(walk, operand, combine(how, value, other))


def isetp(walk, i):
    parts = i.full.split(".")
    op, how = parts[1], next(part for part in parts if part in ("AND", "OR", "XOR"))
    wide = "64" in parts or "S64" in parts or "U64" in parts
    read = walk.double_word if wide else walk.word
    a, b = read(i.sources[0]), read(i.sources[1])
    outcome = None
    if known(a, b):
        if i.sources[0].negated == "-":
            a = -a & MASK
        if i.sources[1].negated == "-":
            b = -b & MASK
        unsigned = "U32" in parts or "U64" in parts
        if not unsigned:
            a, b = (signed(v, 64 if wide else 32) for v in (a, b))
        outcome = compare(op, a, b)
        if "EX" in parts and a == b: # the high words: the low ones decide
            outcome = walk.truth(i.sources[3])
    return two_results(walk, i, outcome, how, walk.truth(i.sources[2]))


def fsetp(walk, i):
    parts = i.full.split(".")
    op, how = parts[1], next((part for part in parts if part in ("AND", "OR", "XOR")), "AND")
    a, b = walk.real(i.sources[0]), walk.real(i.sources[1])
    outcome = None
    if a is None and i.sources[0].absolute and b == math.inf:
        a = 0.0  # no row has Inf or NaN, and what is done for those that have is no hot path
    if known(a, b) and not (math.isnan(a) or math.isnan(b)):
        outcome = compare(op.rstrip("U") if len(op) > 2 else op, a, b) if op not in ("NAN", "NUM") else op == "NUM"
    two_results(walk, i, outcome, how, walk.truth(i.sources[2]))


def sel(walk, i):
    choice = walk.truth(i.sources[2])
    a, b = walk.word(i.sources[0]), walk.word(i.sources[1])
    walk.store(i, a if choice or a == b else None if choice is None else b)


def minmax(walk, i):
    values = [o for o in i.sources if o.kind != "p"]
    words = [walk.word(o) for o in values]
    smaller = walk.truth(next(o for o in reversed(i.sources) if o.kind == "p"))
    if not known(smaller, *words):
        return walk.store(i, None)
    convert = (lambda v: v) if ".U32" in i.full else signed
    words = [convert(-w & MASK if o.negated == "-" else w) for w, o in zip(words, values)]
    if i.op == "VIADDMNMX":
        words = [convert(words[0] + words[1] & MASK), words[2]]
    value = (min if smaller else max)(words)
    return walk.store(i, (max(value, 0) if ".RELU" in i.full else value) & MASK)


def prmt(walk, i):
    a, selector, b = (walk.word(o) for o in i.sources[:3])
    if selector is None:
        return walk.store(i, None)
    result = 0
    for n in range(4):
        nibble = selector >> 4 * n & 15
        source = a if nibble & 7 < 4 else b
        if source is None:
            return walk.store(i, None)
        byte = source >> 8 * (nibble & 3) & 255
        if nibble & 8:
            byte = 255 if byte >> 7 else 0
        result |= byte << 8 * n
    return walk.store(i, result)


def special(walk, i):
    value = walk.word(i.sources[0])
    walk.store(i, value, 2 if i.op == "CS2R" and ".32" not in i.full else 1)


def constant(walk, i):
    source = i.sources[0]
    values = [walk.word(source._replace(offset=source.offset + 4 * n)) for n in range(len(i.writes))]
    walk.r.update(zip(i.writes, values))  # the address may be in one of them


def p2r(walk, i):
    mask = walk.word(i.sources[-1])
    base = walk.word(i.sources[1])
    bits = [walk.r.get(2000 + n) for n in range(7)]
    unknown = ".B" in i.full or not known(mask, base) or any(mask >> n & 1 and bits[n] is None for n in range(7))
    if unknown:
        return walk.store(i, None)
    return walk.store(i, base & ~mask & MASK | sum(mask & bool(bits[n]) << n for n in range(7)))


def r2p(walk, i):
    value, mask = walk.word(i.sources[0]), walk.word(i.sources[1])
    shift = 8 * int(i.full[-1]) if ".B" in i.full else 0
    for n in range(7):
        if mask is None or mask >> n & 1:
            walk.r[2000 + n] = None if None in (value, mask) else bool(value >> shift + n & 1)


def r2ur(walk, i):
    walk.store(i, walk.word(i.sources[-1]))


def i2f(walk, i):
    if "64" in i.full or "F16" in i.full or ".U8" in i.full or ".B" in i.full or ".S8" in i.full:
        for n in i.writes:
            walk.r[n] = None
        return
    value = walk.word(i.sources[-1])
    if value is not None:
        value = value if ".U32" in i.full else signed(value)
        bits = single(float(value))
        if ".RP" in i.full and as_float(bits) < value:
            bits += 1
        value = bits
    walk.store(i, value)


def f2i(walk, i):
    value = walk.real(i.sources[0])
    if value is None or "64" in i.full or ".TRUNC" not in i.full or math.isnan(value):
        for n in i.writes:
            walk.r[n] = None
        return
    low, high = (0, MASK) if ".U32" in i.full else (-(1 << 31), (1 << 31) - 1)
    walk.store(i, int(min(max(value, low), high)) & MASK)


def mufu(walk, i):
    value = walk.real(i.sources[0])
    known_here = value is not None and ".RCP" in i.full and "64" not in i.full
    walk.store(i, single(1 / value if value else math.inf) if known_here else None)


def real_arithmetic(function):
    def apply(walk, i):
        values = []
        for operand in i.sources:
            if operand.kind != "p":
                value = walk.real(operand)
                if value is None:
                    return walk.store(i, None)
                values.append(value)
        return walk.store(i, single(function(*values)))
    return apply


def half_constant(walk, i):
    """HFMA2 R, -RZ, RZ, 1.875, 0: the compiler's way to load a constant."""
    a, b = i.sources[:2]
    rest = i.sources[2:4]
    if a.kind == b.kind == "r" and a.value == b.value == -1 and len(rest) == 2 and all(o.kind in "fi" for o in rest):
        high, low = (struct.unpack("<H", struct.pack("<e", o.value if o.kind == "f" else o.value))[0] for o in rest)
        return walk.store(i, high << 16 | low)
    return walk.store(i, None)


def iabs(walk, i):
    value = walk.word(i.sources[0])
    walk.store(i, None if value is None else abs(signed(value)))


INSTRUCTIONS = {
    "MOV": mov, "IADD3": add, "IADD": add, "VIADD": add, "IMAD": imad, "LEA": lea, "LOP3": lop3, "PLOP3": plop3,
    "SHF": shf, "ISETP": isetp, "FSETP": fsetp, "SEL": sel, "FSEL": sel, "IMNMX": minmax, "VIMNMX": minmax,
    "VIADDMNMX": minmax, "PRMT": prmt, "S2R": special, "CS2R": special, "LDC": constant, "P2R": p2r, "R2P": r2p,
    "I2F": i2f, "I2FP": i2f, "F2I": f2i, "MUFU": mufu, "HFMA2": half_constant, "IABS": iabs, "R2UR": r2ur,
    "FADD": real_arithmetic(lambda a, b: a + b), "FMUL": real_arithmetic(lambda a, b: a * b),
    "FFMA": real_arithmetic(lambda a, b, c: a * b + c),
}
INSTRUCTIONS |= {"U" + name: function for name, function in INSTRUCTIONS.items()}
INSTRUCTIONS |= {"S2UR": special, "ULDC": constant, "LDCU": constant, "UP2UR": p2r}
