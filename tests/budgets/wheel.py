# SPDX-License-Identifier: Apache-2.0
"""The machine code of PyTorch's own layer-norm kernels, extracted from a wheel's libtorch_cuda.so, and how the wheel
launches them. For device.py. Extracted images are cached by version.

A wheel's .nv_fatbin section is a row of fat binaries, one for each translation unit; each holds one image, compressed
by zstd, for each architecture. (cuobjdump would list and decompress all 476 of them.)"""
import ctypes
import ctypes.util
import pathlib
import re
import struct
import subprocess
import sys

FATBIN, ZSTD = b"\x50\xed\x55\xba", b"\x28\xb5\x2f\xfd"
UNIT = b"layer_norm_kernel_cu_" # part of the mangled name of everything in that translation unit

# kernel: (its name, parameters in order, block, dynamic shared memory), from ATen/native/cuda/layer_norm_kernel.cu.
KERNELS = {
    "forward": ("vectorized_layer_norm_kernel", "cols:i eps:f x gamma beta mean rstd y", (32, 4), 24),
    "moments": ("RowwiseMomentsCUDAKernel", "rows:q cols:q eps:f x mean rstd", (512, 1), 0),
    "apply": ("LayerNormForwardCUDAKernel", "rows:q cols:q x mean rstd gamma beta y", (256, 1), 0),
    "dx": ("layer_norm_grad_input_kernel_vectorized", "dy x mean rstd gamma dx cols:i", (128, 1), 16),
    "dgamma": ("GammaBetaBackwardCUDAKernelTemplate", "rows:q cols:q dy x mean rstd dgamma dbeta", (32, 32), 8448),
}
TYPES = {"bf16": "N3c108BFloat16Ef", "f16": "N3c104HalfEf", "f32": "ff"}


def pattern(kernel, dtype, rows, cols):
    """Of the mangled name; of gamma/beta for 256 to 65536 rows. No RMS norm."""
    name = KERNELS[kernel][0]
    aligned = int(rows % 256 == 0 and cols % 32 == 0)
    shape = f"Lj32ELj32ELj256ELb0ELb{aligned}E" if kernel == "dgamma" else ""
    return f"{UNIT.decode()}.*{len(name)}{name}I{TYPES[dtype]}{shape}Lb0EE"


def launch(kernel, rows, cols):
    """(parameters, block, dynamic shared memory, grid)"""
    return *KERNELS[kernel][1:], (cols + 31) // 32 if kernel == "dgamma" else rows


def zstd():
    library = ctypes.CDLL(ctypes.util.find_library("zstd") or "libzstd.so.1")
    library.ZSTD_decompress.restype = ctypes.c_size_t
    library.ZSTD_decompress.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t]
    return library.ZSTD_decompress


def images(data, arch):
    """Each image for that architecture, decompressed."""
    decompress, at = zstd(), 0
    while (at := data.find(FATBIN, at)) >= 0:
        header, size = struct.unpack_from("<HQ", data, at + 6)
        end, at = at + header + size, at + header
        while at < end:
            kind, head, stored, packed = struct.unpack_from("<H2xIQI", data, at)
            machine, = struct.unpack_from("<I", data, at + 28)
            plain, = struct.unpack_from("<Q", data, at + 56)
            body = data[at + head:at + head + packed]
            if kind == 2 and machine == arch and body[:4] == ZSTD:
                buffer = ctypes.create_string_buffer(plain)
                if decompress(buffer, plain, body, len(body)) == plain:
                    yield buffer.raw
            at += head + stored


def layer_norm_image(library, arch, folder):
    """The file with the image of the layer-norm kernels, extracted into `folder` if it is not there."""
    cached = pathlib.Path(folder, f"layer_norm.sm_{arch}.cubin")
    if cached.exists():
        return cached
    sections = subprocess.run(["readelf", "-SW", library], check=True, capture_output=True, text=True).stdout
    offset, size = (int(v, 16) for v in re.search(r"\.nv_fatbin\s+PROGBITS\s+\w+\s+(\w+)\s+(\w+)", sections).groups())
    with open(library, "rb") as file:
        file.seek(offset)
        data = file.read(size)
    found = [image for image in images(data, arch) if UNIT in image and b"vectorized_layer_norm_kernel" in image]
    if len(found) != 1:
        sys.exit(f"{library}: {len(found)} images of layer_norm_kernel.cu for sm_{arch}")
    cached.parent.mkdir(parents=True, exist_ok=True)
    part = cached.with_suffix(".part")
    part.write_bytes(found[0])
    part.rename(cached)
    return cached
