# SPDX-License-Identifier: Apache-2.0
"""What a cubin holds: facts of each kernel from its ELF sections, and its instructions, parsed from nvdisasm's text. No
state."""
import collections
import glob
import os
import pathlib
import re
import struct
import subprocess
import sys
import tempfile

sys.path.append(str(pathlib.Path(__file__).parents[2] / "tools"))
import fatbin  # noqa: E402

CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache"), "fuseln")
NO_RESULT = set("STG ST STS STL BRA EXIT BAR BSSY BSYNC NOP MEMBAR ERRBAR RED REDG WARPSYNC CALL RET DEPBAR LDGDEPBAR "
                "LDGSTS YIELD BREAK BRX JMP BMOV CCTL PREEXIT ACQBULK NANOSLEEP ENDCOLLECTIVE UBAR KILL BPT".split())
GLOBAL = {"LDG", "LD", "STG", "ST", "LDGSTS"}
LOADS = {"LDG", "LD", "LDS", "LDL", "LDGSTS"}
STORES = {"STG", "ST", "STS", "STL"}
PAIRS = {"DADD", "DMUL", "DFMA", "DSETP", "FADD2", "FMUL2", "FFMA2"}

# A register's number: R n is n, UR n is 1000 + n, P n is 2000 + n, UP n is 3000 + n; RZ and URZ, PT and UPT:
ZERO, TRUE = -1, -2
# kind: r register, p predicate, c constant, m address, i integer, f float, x other. absolute, of a register in an
# address: it has 32 bits only.
Operand = collections.namedtuple("Operand", "kind value negated absolute wide offset")
# out: the register, or the first of two, that the result goes to.
Instruction = collections.namedtuple("Instruction",
                                     "address op full guard results sources target reads writes bytes out")


def parse_operand(text):
    text = text.strip()
    negated = text[:1] if text[:1] in "-~!" and not re.match(r"-(\d|INF|QNAN)", text) else ""
    body = text[len(negated):]
    absolute = body.startswith("|")
    body = body.strip("|")
    wide = ".64" in body
    match = re.match(r"(U?)(R|P)(\d+|Z|T)\b", body)
    if match:
        uniform, letter, number = match.groups()
        kind = "r" if letter == "R" else "p"
        value = {"Z": ZERO, "T": TRUE}.get(number)
        if value is None:
            value = int(number) + (1000 if uniform else 0) + (2000 if letter == "P" else 0)
        return Operand(kind, value, negated, absolute or "|" in text, wide, 0)
    if body.startswith("c[") or body.startswith("cx["):
        bank, register, offset = re.match(r"c[xX]?\[([^\]]*)\]\s*\[(U?R\w+(?:\.\w+)*\+?)?(-?0x\w+)?\]", body).groups()
        base = parse_operand(register.rstrip("+")).value if register else None
        return Operand("c", (bank, base), negated, absolute, wide, int(offset or "0", 16))
    if "[" in body:
        inner = body[body.rindex("[") + 1:body.rindex("]")]
        registers, offset = [], 0
        for part in re.findall(r"[-+]?[^-+]+", inner):
            try:
                offset += int(part, 16)
            except ValueError:
                registers.append(parse_operand(part.lstrip("+"))._replace(absolute=".U32" in part))
        return Operand("m", tuple(registers), "", False, wide, offset)
    if re.fullmatch(r"-?0x[0-9a-f]+", body):
        return Operand("i", int(body, 16) & 0xFFFFFFFF, negated, absolute, False, 0)
    if re.fullmatch(r"[-+]?(\d+(\.\d+)?(e[-+]?\d+)?|INF|QNAN)", body):
        return Operand("f", float(body.replace("QNAN", "nan")), negated, absolute, False, 0)
    return Operand("x", body, negated, absolute, wide, 0)


def split_operands(text):
    return [part for part in re.split(r",\s*(?![^\[]*\])", text) if part.strip()]


def registers_of(operand, words):
    """The registers an operand covers."""
    if operand.kind == "m":
        return [n for part in operand.value for n in registers_of(part, 2 if part.wide else 1)]
    if operand.kind == "c":
        return [] if operand.value[1] is None else [operand.value[1]]
    if operand.kind not in "rp" or operand.value < 0:
        return []
    return [operand.value + i for i in range(words if operand.kind == "r" else 1)]


def access_bytes(full):
    for part in full.split(".")[1:]:
        if part in ("U8", "S8", "U16", "S16", "64", "128", "256"):
            return int(part.lstrip("US")) // 8
    return 4


def result_words(op, full):
    """Registers of 32 bits that a result covers."""
    if op in LOADS or op in ("LDC", "LDCU", "ULDC"):
        return (access_bytes(full) + 3) // 4
    wide = (op in PAIRS or ".WIDE" in full or op == "CS2R" and ".32" not in full or
            re.match(r"(F2F|I2F)\.F64|F2I.*64|I(ADD|MAD)\.64|MOV\.64", full))
    return 2 if wide else 1


def source_words(op, full, index):
    """The same of the source of that index."""
    if op in STORES:
        return (access_bytes(full) + 3) // 4 if index == 1 else 1
    wide = (op in PAIRS or ".WIDE" in full and index == 2 or
            re.match(r"(IADD|MOV|U?ISETP.*)\.64|F2F\.F32\.F64|I2F\.[SU]64|F2I.*F64", full))
    return 2 if wide else 1


def results_of(op, operands):
    """How many of the first operands are results: the register, and predicates before and after it."""
    kinds = "".join(operand.kind for operand in operands)
    if op in NO_RESULT or not operands:
        return 0
    if op.endswith("SETP") or op in ("PLOP3", "UPLOP3"):
        return 2
    if op in ("FCHK", "VOTE", "VOTEU") or kinds[0] not in "rp":
        return 1
    return len(re.match(r"p*(r(p*(?=[^p]))?)?", kinds)[0])


def parse_instruction(address, text):
    guard, full, rest = re.match(r"(@!?U?P\w+ )?\s*([\w.]+)\s*(.*)", text).groups()
    op = full.split(".")[0]
    target = re.search(r"`\(([^)]*)\)", rest)
    operands = [parse_operand(part) for part in split_operands(rest)]
    if op in GLOBAL:  # up to sm_75 addresses of 64 bits are not marked
        operands = [o._replace(value=tuple(part._replace(wide=not part.absolute) for part in o.value))
                    if o.kind == "m" and (op != "LDGSTS" or o is operands[1]) else o for o in operands]
    count = results_of(op, operands)
    results, sources = operands[:count], operands[count:]
    words = result_words(op, full)
    writes = [n for operand in results for n in registers_of(operand, words)]
    reads = [n for i, operand in enumerate(sources) for n in registers_of(operand, source_words(op, full, i))]
    parsed = parse_operand(guard[1:]) if guard else None
    out = next((o.value for o in results if o.kind == "r" and o.value != ZERO), None)
    return Instruction(address, op, full, parsed, results, sources, target and target[1], tuple(reads), tuple(writes),
                       access_bytes(full) if op in LOADS | STORES else 0, out)


def cubin_facts(path):
    """(architecture, {kernel: {registers, stack, shared, parameters (offset in constant bank 0), threads}}) from the
    ELF sections. (cuobjdump 13 does not open sm_90 images of the old ABI; where it opens one, it says the same.)"""
    elf = pathlib.Path(path).read_bytes()
    flags, = struct.unpack_from("<I", elf, 48)
    sections = fatbin.sections(elf)
    kernels = {name[6:]: {"registers": 0, "stack": 0, "shared": 0, "parameters": 0, "threads": 1024}
               for name in sections if name.startswith(".text.")}
    for attribute, value in fatbin.attributes(elf, sections[".nv.info"]):
        if attribute in (0x2F, 0x11, 0x12): # registers, frame size, least stack size
            symbol, number = struct.unpack("<II", value)
            offset, = struct.unpack_from("<I", elf, sections[".symtab"][0] + 24 * symbol)
            kernel = kernels.get(fatbin.string(elf, sections[".strtab"][0] + offset))
            if kernel:
                key = "registers" if attribute == 0x2F else "stack"
                kernel[key] = max(kernel[key], number)
    for name, kernel in kernels.items():
        for attribute, value in fatbin.attributes(elf, sections.get(".nv.info." + name, (0, 0))):
            if attribute == 0x0A:
                kernel["parameters"], = struct.unpack_from("<H", value, 4)
            elif attribute == 0x05:
                kernel["threads"] = struct.unpack_from("<I", value)[0]
        kernel["stack"] = max(kernel["stack"], sections.get(".nv.local." + name, (0, 0))[1])
        kernel["shared"] = sections.get(".nv.shared." + name, (0, 0))[1]
    arch = flags >> 8 & 0xFF if elf[8] >= 8 else flags & 0xFF
    return arch, {name: kernel for name, kernel in kernels.items() if kernel["registers"]}


def machine_code(path, name):
    elf = pathlib.Path(path).read_bytes()
    at, size = fatbin.sections(elf)[".text." + name]
    return elf[at:at + size]


def disassemble(path, arch):
    disassembler = glob.glob(f"{CACHE}/nvdisasm-*/nvidia/*/bin/nvdisasm")
    if not disassembler:
        sys.exit("sass.py: nvdisasm is missing: run tools/budgets.sh once, or fuseln_need_nvdisasm of tools/setup.sh")
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        elf = bytearray(pathlib.Path(path).read_bytes())
        if arch == 70: # unknown to nvdisasm 13; sm_75 has the same encoding and all of its instructions
            flags, = struct.unpack_from("<I", elf, 48)
            struct.pack_into("<I", elf, 48, flags & ~0xFF00FF | 75 << 16 | 75)
        file.write(elf)
        file.flush()
        done = subprocess.run([disassembler[0], "-c", file.name], capture_output=True, text=True, check=False)
    if done.returncode or not done.stdout:
        sys.exit(f"sass.py: nvdisasm: {path}: {done.stderr.strip()}")
    return done.stdout


def split(text):
    """{kernel: its part of nvdisasm's text}"""
    return {re.match(r'"?([^",]+)', part)[1]: part for part in text.split("\t.section\t.text.")[1:]}


def parse(part):
    """(instructions, {label: address}) of a kernel."""
    instructions, labels, waiting = [], {}, []
    for line in part.splitlines():
        match = re.match(r"\s+/\*([0-9a-f]{4,})\*/\s+(.*?)\s*;", line)
        if match:
            address = int(match[1], 16)
            labels.update((label, address) for label in waiting)
            waiting = []
            instructions.append(parse_instruction(address, match[2]))
        elif re.match(r"[.$\w]+:", line):
            waiting.append(line.split(":")[0])
    return instructions, labels


def read(path):
    """{kernel: (facts, code)} of a cubin."""
    arch, kernels = cubin_facts(path)
    return {name: (kernels[name], parse(part)) for name, part in split(disassemble(path, arch)).items()
            if name in kernels}
