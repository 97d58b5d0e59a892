# SPDX-License-Identifier: Apache-2.0
"""The machine code of PyTorch's own layer-norm kernels, extracted from a wheel's libtorch_cuda.so, and how the wheel
launches them. For device.py. Extracted images are cached by version."""
import mmap
import pathlib
import re
import sys

sys.path.append(str(pathlib.Path(__file__).parents[2] / "tools"))
import fatbin  # noqa: E402

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


def layer_norm_image(library, arch, folder):
    """The file with the image of the layer-norm kernels, extracted into `folder` if it is not there."""
    cached = pathlib.Path(folder, f"layer_norm.sm_{arch}.cubin")
    if cached.exists():
        return cached
    with open(library, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as elf:
        found = [cubin for binary in fatbin.fat_binaries(elf) for image in binary
                 if image.architecture == arch and UNIT in (cubin := fatbin.unpack(image))]
    if len(found) != 1:
        sys.exit(f"{library}: {len(found)} images of layer_norm_kernel.cu for sm_{arch}")
    cached.parent.mkdir(parents=True, exist_ok=True)
    part = cached.with_suffix(".part")
    part.write_bytes(found[0])
    part.rename(cached)
    return cached


def kernel(library, arch, folder, *which):
    """That file, and the mangled name of one of its kernels, as pattern() takes it."""
    cubin = layer_norm_image(library, arch, folder)
    names = {name.decode() for name in re.findall(rb"(?<=\0)_ZN\w+(?=\0)", cubin.read_bytes())}
    (name,) = (name for name in names if re.search(pattern(*which), name))
    return cubin, name
