# SPDX-License-Identifier: Apache-2.0
"""Drawn norms in sessions of ONNX Runtime, on its CUDA provider and, where it has them, on its CPU provider, both held
against float64; and a pre-LN transformer block of which the CUDA provider gets the layer norms alone. Prints a line for
each run, as norms.py does, without PyTorch, and with the error of the CPU provider."""
import ctypes
import json
import os
import pathlib
import sys

import ml_dtypes
import numpy as np
import onnx
import onnxruntime as ort

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))
import bounds  # noqa: E402

BF16 = np.dtype(ml_dtypes.bfloat16)
TYPES = {  # dtype, ONNX's type
    "f32": (np.dtype(np.float32), onnx.TensorProto.FLOAT),
    "f16": (np.dtype(np.float16), onnx.TensorProto.FLOAT16),
    "bf16": (BF16, onnx.TensorProto.BFLOAT16),
}
EPS, U = float(np.float32(1e-5)), 2.0**-24
SHAPES = [(1, 768), (7, 768), (7, 1023), (3, 1), (5, 2), (33, 31), (2, 4096), (3, 5001), (9, 64)]
LARGE = {"f32": [(3000, 64)], "f16": [(3000, 768), (70000, 64)], "bf16": [(3000, 65)]}
CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"


class Norm:
    """A kind of session: an operator of ONNX, the kernel that it launches, its inputs behind x, and its outputs.
    "_each": x has two batches, and each has a row of this; "_one": both batches share it."""

    def __init__(self, op, kernel, inputs, outputs="y"):
        self.op, self.kernel, self.inputs, self.outputs = op, kernel, inputs.split(), outputs.split()
        self.batches, self.rms = 2 if "_" in inputs else 1, "rms" in kernel

    def model(self, dtype):
        """With open shapes. Statistics are float32."""
        of_ort = self.op.startswith("Skip")
        domain, opset = ("com.microsoft", 1) if of_ort else ("", 23 if self.op.startswith("RMS") else 17)
        names = [name if name in self.outputs else "" for name in ("y", "", "", "sum")] if of_ort else self.outputs
        node = onnx.helper.make_node(self.op, ["x", *self.inputs], names, domain=domain, epsilon=EPS)
        infos = [[onnx.helper.make_tensor_value_info(
            name, onnx.TensorProto.FLOAT if name in ("mean", "rstd") else TYPES[dtype][1], None) for name in part]
            for part in (["x", *self.inputs], self.outputs)]  # fmt: skip
        opsets = {"": 17} | {domain: opset}
        return onnx.helper.make_model(
            onnx.helper.make_graph([node], "norm", *infos), ir_version=10,
            opset_imports=[onnx.helper.make_opsetid(*item) for item in opsets.items()]).SerializeToString()  # fmt: skip

    def draw(self, random, dtype, rows, cols):
        offset, scale = random.choice([0.0, 0.5, 2.0]), random.choice([0.1, 1.0, 10.0])
        dims = {"x": (self.batches, rows, cols), "skip": (self.batches, rows, cols), "skip_one": (1, rows, cols)}
        drawn = {}
        for name in ("x", *self.inputs):
            shape = dims.get(name, (self.batches, 1, cols) if name.endswith("_each") else (cols,))
            values = random.standard_normal(shape, np.float32)
            values = scale * (values + offset) if name == "x" else values + ("gamma" in name)
            drawn[name] = values.astype(TYPES[dtype][0])
        return drawn


NORMS = [
    Norm("LayerNormalization", "layer_norm", "gamma beta"),
    Norm("LayerNormalization", "layer_norm", "gamma"),
    Norm("LayerNormalization", "layer_norm", "gamma beta", "y mean rstd"),
    Norm("LayerNormalization", "layer_norm", "gamma_each beta_each"),
    Norm("RMSNormalization", "rms_norm", "gamma"),
    Norm("SkipLayerNormalization", "skip_layer_norm", "skip gamma beta"),
    Norm("SkipLayerNormalization", "skip_layer_norm", "skip gamma beta bias", "y sum"),
    Norm("SkipLayerNormalization", "skip_layer_norm", "skip_one gamma beta"),
    Norm("SkipSimplifiedLayerNormalization", "skip_rms_norm", "skip gamma bias", "y sum"),
]  # fmt: skip


def value(array):
    if array.dtype == BF16:
        return ort.OrtValue.ortvalue_from_numpy_with_onnx_type(array.view(np.uint16), onnx.TensorProto.BFLOAT16)
    return ort.OrtValue.ortvalue_from_numpy(array)


def array(value, dtype):
    memory = (ctypes.c_char * value.tensor_size_in_bytes()).from_address(value.data_ptr())
    return np.frombuffer(memory, dtype).reshape(value.shape()).astype(np.float64)


def session(model, provider, settings=()):
    """None where this provider does not have the operator in this type."""
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.disable_cpu_ep_fallback", "0" if settings or provider == CPU else "1")
    for name, setting in settings:
        options.add_session_config_entry(name, setting)
    try:
        return ort.InferenceSession(model, options, providers=[provider])
    except (ort.capi.onnxruntime_pybind11_state.NotImplemented, ort.capi.onnxruntime_pybind11_state.InvalidGraph):
        return None


def exact(norm, inputs, replaced):
    """What is computed, in float64, and how far float32 may be from it: {output: (value, error)}"""
    s = inputs["x"]
    for name in ("bias", "skip", "skip_one"):  # ONNX Runtime rounds each sum
        s = s + inputs[name] if name in inputs else s
    gamma, beta = (next((inputs[name].astype(np.float64) for name in inputs if name.startswith(what)), other)
                   for what, other in (("gamma", 1.0), ("beta", 0.0)))  # fmt: skip
    total, one_pass = s.astype(np.float64), norm.kernel.startswith("skip") and not replaced
    found = bounds.statistics(total, EPS, norm.rms, U, bounds.chain(s.shape[-1]), one_pass)
    return found | {"y": bounds.affine(found["xhat"], gamma, beta, U), "sum": (total, 0 * total)}


def compare(norm, dtype, inputs, results, replaced=False):
    """(largest error of y in epsilons, of at least 1; results that are wrong)"""
    wanted, wrong, worst = exact(norm, inputs, replaced), 0, 0.0
    for name, got in zip(norm.outputs, results, strict=True):
        of = TYPES["f32" if name in ("mean", "rstd") else dtype][0]
        (right, error), finfo = wanted[name], ml_dtypes.finfo(of)
        off = np.abs(array(got, of) - right)
        wrong += int((~(off <= bounds.allowed(right, error, finfo))).sum())
        if name == "y":
            worst = float((off / (float(finfo.eps) * np.maximum(np.abs(right), 1))).max())
    return worst, wrong


def was_replaced(log):
    return "original" not in [json.loads(line)["kind"] for line in log.readlines()]


def say(kernel, replaced, error, wrong, cpu=None):
    said = {"kernel": f"onnxruntime/{kernel}", "replaced": replaced, "error": error, "wrong": wrong, "cpu": cpu}
    print(json.dumps(said), flush=True)


def run_norm(norm, dtype, random, log):
    """Runs all shapes in one session of each provider."""
    model = norm.model(dtype)
    cuda, cpu = session(model, CUDA), session(model, CPU)
    large = LARGE[dtype] if norm is NORMS[0] else []
    for rows, cols in SHAPES + large:
        inputs = norm.draw(random, dtype, rows, cols)
        feeds = {name: value(of) for name, of in inputs.items()}
        results = cuda.run_with_ort_values(norm.outputs, feeds)
        replaced = was_replaced(log)
        host = cpu and compare(norm, dtype, inputs, cpu.run_with_ort_values(norm.outputs, feeds))[0]
        say(f"{norm.kernel}/{dtype}", replaced, *compare(norm, dtype, inputs, results, replaced), host)


BLOCK = """<ir_version: 10, opset_import: ["" : 20]>
block (float[B, S, 64] x, float[64] gamma, float[64] beta, float[64, 64] q, float[64, 64] k, float[64, 64] v,
       float[64, 64] o, float[64, 256] up, float[256, 64] down) => (float[B, S, 64] y)
<int64[4] heads = {0, 0, 4, 16}, int64[3] joined = {0, 0, 64}, float scale = {0.25}> {
    h = LayerNormalization <axis = -1, epsilon = 1e-5> (x, gamma, beta)
    hq = MatMul (h, q)  q4 = Reshape (hq, heads)  qh = Transpose <perm = [0, 2, 1, 3]> (q4)
    hk = MatMul (h, k)  k4 = Reshape (hk, heads)  kh = Transpose <perm = [0, 2, 3, 1]> (k4)
    hv = MatMul (h, v)  v4 = Reshape (hv, heads)  vh = Transpose <perm = [0, 2, 1, 3]> (v4)
    scores = MatMul (qh, kh)  scaled = Mul (scores, scale)  weights = Softmax <axis = -1> (scaled)
    mixed = MatMul (weights, vh)  m4 = Transpose <perm = [0, 2, 1, 3]> (mixed)  m = Reshape (m4, joined)
    attended = MatMul (m, o)  middle = Add (x, attended)
    g = LayerNormalization <axis = -1, epsilon = 1e-5> (middle, gamma, beta)
    wide = MatMul (g, up)  active = Gelu (wide)  narrow = MatMul (active, down)  y = Add (middle, narrow)
}"""


def run_block(random, log):
    """All nodes but the layer norms go to the CPU provider, as the software device has no cuBLAS. With both providers
    the result must be the same but for what rounding may do: less than 1,000 roundings lie between inputs and result."""
    model = onnx.parser.parse_model(BLOCK)
    for node in model.graph.node:
        if node.op_type != "LayerNormalization":
            node.metadata_props.add(key="layer_ann", value="rest")
    cuda = session(model.SerializeToString(), CUDA, [("session.layer_assignment_settings", "cpu(rest)")])
    cpu = session(model.SerializeToString(), CPU)
    dims = {info.name: [of.dim_value or 6 for of in info.type.tensor_type.shape.dim] for info in model.graph.input}
    feeds = {name: (random.standard_normal(shape) / (8 if len(shape) == 2 else 1)).astype(np.float32)
             for name, shape in dims.items()}  # fmt: skip
    ours, theirs = (runner.run(None, feeds)[0] for runner in (cuda, cpu))
    off, unit = np.abs(ours.astype(np.float64) - theirs), U * np.abs(theirs).max()
    wrong = int((~(off < 1000 * unit)).sum())
    say("layer_norm/f32, in a block", was_replaced(log), float(off.max() / (2 * unit)), wrong)


def main():
    random = np.random.default_rng(21)
    with open(os.environ["SOFTGPU_LOG"]) as log:
        for norm in NORMS:
            for dtype in TYPES:
                run_norm(norm, dtype, random, log)
        run_block(random, log)


if __name__ == "__main__":
    main()
