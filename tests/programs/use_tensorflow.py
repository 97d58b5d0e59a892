# SPDX-License-Identifier: Apache-2.0
"""TensorFlow, whose library exports stubs for the CUDA runtime and the driver under the functions' own names."""

import tensorflow

print(tensorflow.reduce_sum(tensorflow.ones(10)).numpy(), tensorflow.config.list_physical_devices("GPU"))
