# SPDX-License-Identifier: Apache-2.0
"""TensorFlow, whose library exports stubs of the CUDA runtime and of the driver under their own names."""

import tensorflow

print(tensorflow.reduce_sum(tensorflow.ones(10)).numpy(), tensorflow.config.list_physical_devices("GPU"))
