# SPDX-License-Identifier: Apache-2.0
"""Device code inside ELF files: the images in a library's fat binaries, and what the compiler wrote about the kernels
of a cubin. No state.

A library's .nv_fatbin section is a row of fat binaries, one for each translation unit. Each holds an image for every
architecture: as it is, or compressed by LZ4 (wheels of CUDA 11 and 12) or zstd (CUDA 13). NVIDIA documents neither
this nor a cubin's attributes; the layouts here are those that public readers use (ZLUDA, cuda-fatbin-decompression),
and tests/cli/test_known_build.py holds them against wheels and images of known content."""
import collections
import ctypes
import struct

FATBIN = b"\x50\xed\x55\xba"
PTX, CUBIN = 1, 2  # the kind of an image
LZ4, ZSTD = 0x2000, 0x8000  # flags of an image
INFO = ".nv.info."  # a section with a kernel's attributes, followed by its name
PARAMETER, PARAMETER_BYTES = 0x17, 0x19  # EIATTR_KPARAM_INFO, EIATTR_CBANK_PARAM_SIZE

Image = collections.namedtuple("Image", "architecture flags size body")


def sections(elf):
    """{name: (offset, size)}"""
    table, = struct.unpack_from("<Q", elf, 40)
    size, count, names = struct.unpack_from("<HHH", elf, 58)
    headers = [struct.unpack_from("<IIQQQQ", elf, table + i * size) for i in range(count)]
    return {string(elf, headers[names][4] + header[0]): header[4:] for header in headers}


def string(elf, offset):
    return elf[offset:elf.find(b"\0", offset)].decode()


def fat_binaries(elf, kind=CUBIN):
    """The images of this kind in each fat binary: a list of Images, which may be empty."""
    at, size = sections(elf).get(".nv_fatbin", (0, 0))
    end = at + size
    while (at := elf.find(FATBIN, at, end)) >= 0:
        header, size = struct.unpack_from("<HQ", elf, at + 6)
        yield list(images(elf, at + header, at + header + size, kind))
        at += header + size


def images(elf, at, end, kind):
    while at < end:
        this, header, stored, packed = struct.unpack_from("<H2xIQI", elf, at)
        architecture, = struct.unpack_from("<I", elf, at + 28)
        flags, = struct.unpack_from("<Q", elf, at + 40)
        size, = struct.unpack_from("<Q", elf, at + 56)
        if this == kind:
            yield Image(architecture, flags, size, elf[at + header:at + header + (packed or stored)])
        at += header + stored


def unpack(image):
    """The image's cubin or text."""
    if not image.flags & (LZ4 | ZSTD):
        return image.body
    buffer = ctypes.create_string_buffer(image.size)
    size, packed = ctypes.c_size_t(image.size), ctypes.c_size_t(len(image.body))
    if image.flags & ZSTD:
        decompress = ctypes.CDLL("libzstd.so.1").ZSTD_decompress
        decompress.restype = ctypes.c_size_t
        done = decompress(buffer, size, image.body, packed)
    else:
        done = ctypes.CDLL("liblz4.so.1").LZ4_decompress_safe(image.body, buffer, len(image.body), image.size)
    if done != image.size:
        raise ValueError(f"an image for sm_{image.architecture} cannot be decompressed")
    return buffer.raw


def attributes(elf, section):
    """(attribute, value) of each record: four bytes of head, then, in one of the forms, as many as it says."""
    at, end = section[0], sum(section)
    while at < end:
        form, attribute, length = struct.unpack_from("<BBH", elf, at)
        yield attribute, elf[at + 4:at + 4 + length] if form == 4 else length
        at += 4 + (length if form == 4 else 0)


def parameters(cubin):
    """{kernel: ([(offset, size) of each parameter], bytes of all)}"""
    found = {}
    for name, section in sections(cubin).items():
        if not name.startswith(INFO):
            continue
        values = list(attributes(cubin, section))
        records = sorted(struct.unpack("<4xHHI", value)[:3] for key, value in values if key == PARAMETER)
        total = sum(value for key, value in values if key == PARAMETER_BYTES)
        found[name.removeprefix(INFO)] = [(offset, bits >> 18) for _, offset, bits in records], total
    return found
