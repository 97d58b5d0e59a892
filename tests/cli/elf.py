# SPDX-License-Identifier: Apache-2.0
"""ELF files and fat binaries, made byte by byte."""
import struct

SHF_ALLOC, PROGBITS, STRTAB, NOTE, CUDA, X86_64 = 2, 1, 3, 7, 190, 62
PTX, CUBIN = 1, 2  # the kind of an image


def strings(*names):
    return b"\0" + b"".join(name.encode() + b"\0" for name in names)


def elf(sections, machine=X86_64, **changes):
    """A file of [(name, type, flags, bytes)]; changes: fields of its header."""
    names, body, table = b"\0", b"", [bytes(64)]
    for name, kind, flags, data in sections + [(".shstrtab", STRTAB, 0, None)]:
        at = len(names)
        names += name.encode() + b"\0"
        data = names if data is None else data
        body += bytes(-len(body) % 8)
        table.append(struct.pack("<IIQQQQIIQQ", at, kind, flags, 0, 64 + len(body), len(data), 0, 0, 8, 0))
        body += data
    body += bytes(-len(body) % 8)
    fields = {"shoff": 64 + len(body), "shentsize": 64, "shnum": len(table), "shstrndx": len(table) - 1, "phoff": 0,
              "phnum": 0} | changes
    head = b"\x7fELF\2\1\1" + bytes(9) + struct.pack(
        "<HHIQQQIHHHHHH", 3, machine, 1, 0, fields["phoff"], fields["shoff"], 0, 64, 56, fields["phnum"],
        fields["shentsize"], fields["shnum"], fields["shstrndx"])
    return head + body + b"".join(table)


def image(cubin, architecture=80, flags=0, packed=b"", kind=CUBIN):
    """Of a fat binary: the cubin, or how the compressor that `flags` names packed it."""
    stored = (packed or cubin) + bytes(-len(packed or cubin) % 8)
    return struct.pack("<HHIQIIIIQQQQ", kind, 0x101, 64, len(stored), len(packed), 0, 0, architecture, 0, flags, 0,
                       len(cubin) if packed else 0) + stored


def fatbin(*images):
    body = b"".join(images)
    return struct.pack("<IHHQ", 0xba55ed50, 1, 16, len(body)) + body
