# SPDX-License-Identifier: Apache-2.0
"""Launches kernels of a library by their names, through the driver alone: for programs whose CUDA runtime does not start on
the software device, but whose library has its kernels as PTX, too; or kernels of a file of PTX. The memory is PyTorch's."""

import ctypes
import mmap
import pathlib
import re
import sys

import norms
import torch

sys.path.append(str(pathlib.Path(__file__).resolve().parents[2] / "tools"))
import fatbin  # noqa: E402

NORM = re.compile(rb"\.entry\s+(\w*(?:layer_?norm|[^a-z](?:rms_)?norm_)\w*)", re.IGNORECASE)
INVALID_VALUE = 1


def texts(library):
    """The PTX with norms, for the newest architecture that the library has PTX for."""
    if library.endswith(".ptx"):
        yield pathlib.Path(library).read_bytes()
        return
    with open(library, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as elf:
        images = [image for binary in fatbin.fat_binaries(elf, fatbin.PTX) for image in binary]
        newest = max(image.architecture for image in images)
        yield from filter(NORM.search, (fatbin.unpack(image) for image in images if image.architecture == newest))


class Kernels:
    """The norms of a library: their names are in `functions`."""

    def __init__(self, library):
        torch.zeros(1, device="cuda")  # makes a context current
        self.driver, self.functions = ctypes.CDLL("libcuda.so.1"), {}
        for text in texts(library):
            module = ctypes.c_void_p()
            self.call("cuModuleLoadData", ctypes.byref(module), text)
            for name in NORM.findall(text):
                function = self.functions[name.decode()] = ctypes.c_void_p()
                self.call("cuModuleGetFunction", ctypes.byref(function), module, name)

    def call(self, name, *arguments):
        result = getattr(self.driver, name)(*arguments)
        assert result == 0, f"{name}: error {result}"

    def sizes(self, function):
        """Of the parameters, as the driver says."""
        offset, size = ctypes.c_size_t(), ctypes.c_size_t()
        for i in range(64):
            where = function, ctypes.c_size_t(i), ctypes.byref(offset), ctypes.byref(size)
            if self.driver.cuFuncGetParamInfo(*where) == INVALID_VALUE:
                return
            yield size.value

    def launch(self, name, grid, block, *arguments):
        """The arguments must have the sizes of the parameters."""
        values, addresses = norms.packed(arguments)
        assert [ctypes.sizeof(value) for value in values] == list(self.sizes(self.functions[name])), name
        self.call("cuLaunchKernel", self.functions[name], *grid, *block, 0, None, addresses, None)
