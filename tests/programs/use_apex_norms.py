# SPDX-License-Identifier: Apache-2.0
"""use_apex_norms.py LIBRARY NAMES: apex's layer norm and RMS norm, forward and backward, on drawn cases (norms.py). The
library stands for apex's own (registered.c); the order of launches, their grids and arguments are apex's."""

import ctypes
import sys

import norms
import torch
from norms import bounds

TYPES = {torch.float32: "f", torch.float16: "N3c104HalfE", torch.bfloat16: "N3c108BFloat16E"}
PARTS = 16
i32, f32, f64, flag = ctypes.c_int, ctypes.c_float, ctypes.c_double, ctypes.c_bool

drawn, launch = norms.Drawn(), norms.Registered(*sys.argv[1:]).launch


def empty(dtype, *shape):
    return torch.full(shape, 7.0, dtype=dtype, device="cuda")


class Case:
    """A module of apex: x of type T, y and gamma of V."""

    def __init__(self, t, v, rows, cols):
        self.t, self.v, self.rows, self.cols = t, v, rows, cols
        self.eps, self.rms = drawn.pick(1e-5, 1e-6, 1e-3), drawn.pick(False, True)
        self.template = TYPES[t] + "f" + ("S1_" if t == v != torch.float32 else TYPES[v])
        self.scale = drawn.pick(1.0, 20.0)
        offset, skew = drawn.pick(0.0, 0.0, 3.0), drawn.pick(0, 0, 1)
        self.x64, self.x = drawn.values(t, rows, cols, offset=offset, scale=self.scale, skew=skew)
        self.affine = drawn.pick(True, True, True, False)
        self.gamma64, self.gamma = drawn.values(v, cols)
        if drawn.checked:  # dX of a gamma nearer to 0 than eps is another than the formula's
            self.gamma64 = self.gamma64.abs() + 0.01
            self.gamma.copy_(self.gamma64.to(v))
            self.gamma64 = self.gamma64.to(v).double()
        self.beta64, self.beta = drawn.values(v, cols)
        if not self.affine:
            self.gamma = self.beta = None
            self.gamma64, self.beta64 = torch.ones(cols), torch.zeros(cols)
        if self.rms:
            self.beta, self.beta64 = None, torch.zeros(cols)
        self.grid = 1, min(rows, 65535)

    def say(self, what, *results, roundings=1):
        suffix = "" if self.t == self.v else " to another type"
        drawn.say(f"apex/{what}/{norms.SHORT[self.t]}{suffix}", *results, roundings=roundings)

    def forward(self):
        y, self.mean, self.rstd = empty(self.v, self.rows, self.cols), *empty(torch.float32, 2, self.rows)
        value, exact = norms.norm(self.x64, self.gamma64, self.beta64, self.eps, self.rms)
        numbers = i32(self.rows), i32(self.cols), f32(self.eps)
        name = "_Z14cuApplyRMSNormI" if self.rms else "_Z16cuApplyLayerNormI"
        outputs = [y, *[self.mean] * (not self.rms), self.rstd]
        parameters = [self.gamma, *[self.beta] * (not self.rms)]
        launch(f"{name}{self.template}E", self.grid, (32, 4), 24, *outputs, self.x, *numbers, *parameters)
        self.say("rms_norm" if self.rms else "layer_norm", (y, value), roundings=3)
        for got, (wanted, error) in [(self.rstd, exact["rstd"]), *[(self.mean, exact["mean"])] * (not self.rms)]:
            allowed = bounds.allowed(wanted, error, torch.finfo(torch.float32))
            assert ((got.cpu().double()[:, None] - wanted).abs() <= allowed).all()
        if self.rms:
            self.mean = self.rstd  # as apex passes it

    def backward(self):
        dy64, dy = drawn.values(self.v, self.rows, self.cols)
        rstd = self.rstd.cpu().double()[:, None]
        mean = 0 if self.rms else self.mean.cpu().double()[:, None]
        xhat = (self.x64 - mean) * rstd
        inputs = [dy, self.x, i32(self.rows), i32(self.cols), self.mean, self.rstd, f32(self.eps), self.gamma]
        inputs.append(self.gamma if self.rms else self.beta)
        last = f64(self.eps), flag(self.rms)
        if self.affine:
            self.gradients(dy64, xhat, inputs, last)
        dx = empty(self.t, self.rows, self.cols)
        launch(f"_Z18cuComputeGradInputI{self.template}Lb0E", self.grid, (32, 4), 512, *inputs, dx, *last)
        wanted, error = bounds.dx(dy64, self.x64, mean, rstd, self.gamma64, self.rms, norms.u, bounds.chain(self.cols))
        # the original multiplies by eps where gamma is nearer to 0; the check then refuses the site
        clamped = rstd * dy64.abs() * (self.eps * 1.01 - self.gamma64.abs()).clamp(min=0) if self.affine else 0
        direct = rstd * dy64 * self.gamma64  # the rest comes by way of the row's sums
        value = norms.Value(wanted, direct.abs() + (direct - wanted).abs(), error + clamped)
        self.say("rms_norm_dx" if self.rms else "layer_norm_dx", (dx, value))  # one kernel: an argument says which

    def gradients(self, dy64, xhat, inputs, last):
        parts, sums = empty(torch.float32, 2, PARTS, self.cols), empty(self.v, 2, self.cols)
        columns, values = (self.cols + 31) // 32, []
        for terms in [dy64 * xhat] if self.rms else [dy64 * xhat, dy64]:
            wanted, error = bounds.columns(terms, norms.u, self.rows + 4)
            values.append(norms.Value(wanted, terms.abs().sum(0), error))
        # in RMS norm apex passes the parts of dgamma for those of dbeta
        launch(f"_Z26cuComputePartGradGammaBetaI{self.template}Lb0E", (columns, PARTS), (32, 4), 4224, *inputs,
               parts[0], parts[0 if self.rms else 1], *last)  # fmt: skip
        what = "rms_norm_dgamma" if self.rms else "layer_norm_dgamma"  # one kernel: an argument says which
        self.say(what, *[(part.cpu().double().sum(0).float(), value) for part, value in zip(parts, values)])
        shape = i32(PARTS), i32(self.rows), i32(self.cols)
        launch(f"_Z22cuComputeGradGammaBetaIf{TYPES[self.v]}E", (columns, 1), (32, 8), 1024, parts[0],
               None if self.rms else parts[1], *shape, sums[0], None if self.rms else sums[1], flag(self.rms))  # fmt: skip
        self.say("gamma and beta", *zip(sums, values))


for t in TYPES:
    for shape in drawn.shapes():
        case = Case(t, t, *shape)
        case.forward()
        case.backward()
for v in (torch.float16, torch.bfloat16):  # x of float
    for shape in ((7, 768), (33, 1023)):
        case = Case(torch.float32, v, *shape)
        case.forward()
        case.backward()
