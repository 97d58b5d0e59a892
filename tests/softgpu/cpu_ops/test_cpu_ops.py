# SPDX-License-Identifier: Apache-2.0
"""--cpu-ops. Run it under tests/softgpu/run [--no-fuseln] --cpu-ops. The CPU's own results are the reference."""
import os
import subprocess
import sys
import threading

import pytest
import torch
import torch.nn.functional as F
from torch import nn

pytestmark = pytest.mark.skipif(not os.environ.get("SOFTGPU_CPU_OPS"), reason="needs run --cpu-ops")


class Block(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.qkv, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))

    def forward(self, x):
        qkv = self.qkv(self.norm1(x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        x = x + self.out(F.scaled_dot_product_attention(*qkv, is_causal=True).transpose(1, 2).flatten(2))
        return x + self.mlp(self.norm2(x))


class Gpt(nn.Module):
    def __init__(self):
        super().__init__()
        self.token, self.position = nn.Embedding(65, 64), nn.Embedding(32, 64)
        self.blocks = nn.Sequential(Block(64, 4), Block(64, 4), nn.LayerNorm(64))

    def forward(self, tokens):
        x = self.token(tokens) / 8 + self.position(torch.arange(tokens.shape[1], device=tokens.device)) / 8
        return self.blocks(x) @ self.token.weight.t() / 8


def gpt_loss(model, data):
    logits = model(data[:, :-1])
    return F.cross_entropy(logits.flatten(0, 1), data[:, 1:].flatten())


def encoder():
    return nn.TransformerEncoder(nn.TransformerEncoderLayer(64, 4, 128, dropout=0.0, batch_first=True), 2)


def train(device, model, loss, data, optimizer):
    torch.manual_seed(0)
    model = model().to(device)
    step = optimizer(model.parameters())
    curve = []
    for batch in data:
        value = loss(model, batch.to(device, non_blocking=True))
        step.zero_grad()
        value.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        step.step()
        curve.append(value.item())
    return torch.tensor(curve)


OPTIMIZERS = {
    "adamw": lambda p: torch.optim.AdamW(p, 1e-3),
    "fused": lambda p: torch.optim.AdamW(p, 1e-3, fused=True),
    "foreach": lambda p: torch.optim.Adam(p, 1e-3, foreach=True),
    "sgd": lambda p: torch.optim.SGD(p, 0.1, momentum=0.9, nesterov=True),
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
@pytest.mark.parametrize("model", ["gpt", "encoder"])
def test_loss_curve_is_the_cpus(model, optimizer):
    torch.manual_seed(1)
    if model == "gpt":
        parts = Gpt, gpt_loss, torch.randint(0, 65, (5, 4, 33))
    else:
        parts = encoder, lambda m, x: F.mse_loss(m(x), x.flip(1)), torch.randn(5, 8, 16, 64)
    cpu, device = train("cpu", *parts, optimizer), train("cuda", *parts, optimizer)
    assert cpu[-1] < cpu[0]
    torch.testing.assert_close(device, cpu, rtol=1e-5, atol=0)


def test_autocast_with_scaler():
    torch.manual_seed(0)
    model = Gpt().cuda()
    step, scaler = torch.optim.AdamW(model.parameters(), 1e-3), torch.amp.GradScaler("cuda")
    data, curve = torch.randint(0, 65, (4, 33), device="cuda"), []
    for _ in range(5):
        with torch.autocast("cuda", dtype=torch.float16):
            value = gpt_loss(model, data)
        scaler.scale(value).backward()
        scaler.step(step)
        scaler.update()
        step.zero_grad()
        curve.append(value.item())
    assert curve[-1] < curve[0]


def test_views_in_place_and_out():
    x = torch.arange(12.0, device="cuda").view(3, 4)
    x[1:, ::2].add_(10)
    x.t()[1].mul_(-1)
    x[x > 15] = 0
    assert x.tolist() == [[0, -1, 2, 3], [14, -5, 0, 7], [0, -9, 0, 11]]
    out = torch.empty(0, device="cuda")
    assert torch.add(x, 1, out=out) is out and out.shape == (3, 4) and torch.equal(out, x + 1)
    strided = torch.empty(3, 4, device="cuda").t()
    torch.mul(x.t(), 2, out=strided)
    assert torch.equal(strided, x.t() * 2) and strided.stride() == (1, 4)
    version = x._version
    x.zero_()
    assert x._version == version + 1 and x.sum().item() == 0
    assert x.is_cuda and (x + 1).is_cuda and torch.zeros(2).copy_(x[0, :2]).device.type == "cpu"
    with torch.inference_mode():  # no autograd layer in between, which would return the argument itself
        y = torch.ones(2, device="cuda")
        assert torch.ops.aten.add_(y, 1).data_ptr() == y.data_ptr() and y.tolist() == [2, 2]
    z = torch.fft.fft(torch.arange(4.0, device="cuda")).conj()
    assert torch.equal((z + 0).cpu(), torch.fft.fft(torch.arange(4.0)).conj())


def test_random_numbers_follow_the_cuda_seed():
    def draw():
        a = torch.randn(3, device="cuda"), F.dropout(torch.ones(64, device="cuda"), 0.5), torch.randperm(9, device="cuda")
        return [t.tolist() for t in a]

    host = torch.get_rng_state()
    torch.cuda.manual_seed(7)
    first, state = draw(), torch.cuda.get_rng_state()
    second = draw()
    torch.cuda.set_rng_state(state)
    assert draw() == second and second != first
    torch.cuda.manual_seed(7)
    assert draw() == first and torch.equal(torch.get_rng_state(), host)


def test_every_thread():
    results = []

    def work():
        x = torch.ones(4, 8, device="cuda", requires_grad=True)
        (F.layer_norm(x * 2, (8,)) + x).sum().backward()
        results.append(x.grad.tolist())

    threads = [threading.Thread(target=work) for _ in range(3)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert results == [torch.ones(4, 8).tolist()] * 3


def test_what_cannot_be_done_has_a_name():
    with pytest.raises(NotImplementedError, match="aten::_fused_dropout"):
        torch._fused_dropout(torch.ones(3, device="cuda"), 0.5)
    with pytest.raises(NotImplementedError, match="aten::_to_sparse"):
        torch.eye(3, device="cuda").to_sparse()


def test_the_exit_code_is_kept():
    code = "import torch; x = torch.ones(2, device='cuda', requires_grad=True); x.sum().backward(); raise SystemExit(5)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 5
