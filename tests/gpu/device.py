# SPDX-License-Identifier: Apache-2.0
"""Prints "90 NAME", compute capability and name of CUDA device 0, using only the driver; exits 77 without a device."""

import ctypes
import sys

try:
    cuda = ctypes.CDLL("libcuda.so.1")
except OSError:
    sys.exit(77)
device, major, minor, name = ctypes.c_int(), ctypes.c_int(), ctypes.c_int(), ctypes.create_string_buffer(100)
if cuda.cuInit(0) or cuda.cuDeviceGet(ctypes.byref(device), 0):
    sys.exit(77)
cuda.cuDeviceGetName(name, 100, device)
cuda.cuDeviceGetAttribute(ctypes.byref(major), 75, device)
cuda.cuDeviceGetAttribute(ctypes.byref(minor), 76, device)
print(f"{major.value}{minor.value} {name.value.decode()}")
