# SPDX-License-Identifier: Apache-2.0
"""ONNX Runtime and the library of its CUDA provider, which has kernels of its own and a shared CUDA runtime."""

import ctypes
import pathlib

import onnxruntime

print(onnxruntime.get_available_providers())
folder = pathlib.Path(onnxruntime.__file__).parent / "capi"
for name in ("libonnxruntime_providers_shared.so", "libonnxruntime_providers_cuda.so"):
    try:
        ctypes.CDLL(str(folder / name))
        print(name, "loaded")
    except OSError as error:  # its CUDA libraries are not installed
        print(error)
