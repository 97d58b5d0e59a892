# SPDX-License-Identifier: Apache-2.0
"""The parts of check.py, each run in a process with fuseln preloaded. Usage: check_parts.py PART CALLS.json [--small]
Prints what is wrong, at most 20 lines, and then exits 1; writes to CALLS.json how many calls of each kind it made.
"""

import hashlib
import itertools
import json
import sys
import threading

import torch
from torch.nn import functional as F

import cases
import preload
from cases import HAS_RMS, NAMES, bits, bounds, error_of

small = "--small" in sys.argv
made = {"forward": 0, "dx": 0, "dgamma": 0, "threads": 0}
found = []  # what is wrong, as text
lock = threading.Lock()


def forward(x, gamma, beta, eps, rms):
    with lock:
        made["forward"] += 1
    return cases.forward(x, gamma, beta, eps, rms)


def backward(dy, x, mean, rstd, gamma, beta, mask, rms):
    with lock:
        made["dx"] += bool(mask[0])
        made["dgamma"] += bool(mask[1] or mask[2])
    return cases.backward(dy, x, mean, rstd, gamma, beta, mask, rms)


def generator(seed):
    return torch.Generator(device="cuda").manual_seed(seed)


def widths(dtype):
    """Widths around each schedule's border in bytes, and those that real and odd models use."""
    size = torch.finfo(dtype).bits // 8
    borders = [b // size for b in (128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536, 114688, 232448)]
    around = {n + step for n in borders for step in (-16 // size, -1, 0, 1, 16 // size)}
    found = sorted(around | {1, 2, 3, 5, 7, 26, 261, 384, 768, 1000, 5120, 12288, 20001, 65535, 65536})
    return [n for n in found if 1 <= n <= 65536]


def shapes(dtype):
    """Yields (rows, cols, skew, rms): each width aligned and unaligned, with few to many rows."""
    rows = itertools.cycle([1, 2, 3, 7, 33, 130, 300, 1025])
    skews = itertools.cycle([1, 2, 3, 4] if dtype.itemsize == 2 else [1, 2, 3])
    for cols in widths(dtype)[:: 6 if small else 1]:
        most = max(1, (60_000 if small else 8_000_000) // cols)
        for rms, skewed in ((False, False), (False, True), (True, False), (True, True)):
            if HAS_RMS or not rms:
                yield min(next(rows), most), cols, next(skews) if skewed else 0, rms
    large = [(100_000, 64), (65_537, 261), (100_000, 256), (30_001, 1024), (8_193, 4096), (1_501, 16384),
             (2_300, 8_208), (2_300, 8_201)]  # fmt: skip
    for rows, cols in [] if small else large:
        yield rows, cols, 0, False


def part_cases(name):
    dtype = NAMES[name]
    masks = itertools.cycle([(1, 1, 1), (1, 1, 1), (1, 0, 0), (0, 1, 1), (1, 1, 0), (1, 0, 1), (0, 1, 0), (0, 0, 1)])
    nulls = itertools.cycle([(1, 1), (1, 1), (0, 0), (1, 0), (0, 1)])
    scales = itertools.cycle([(1.0, 0.0), (1e-3, 0.0), (1.0, 30.0), (20.0, 1.0)])
    for seed, (rows, cols, skew, rms) in enumerate(shapes(dtype)):
        draw, eps = generator(seed), [1e-5, 1e-6, 1e-3][seed % 3]
        (scale, offset), (has_gamma, has_beta), mask = next(scales), next(nulls), next(masks)
        if rows > 65536 and not mask[1]:
            mask = (mask[0], mask[2], mask[2])  # PyTorch 2.11 itself returns an empty dbeta there, without dgamma
        x = cases.random(draw, rows, cols, dtype, skew, scale, offset)
        dy = cases.random(draw, rows, cols, dtype, skew)
        gamma = cases.random(draw, 1, cols, dtype)[0] if has_gamma else None
        beta = cases.random(draw, 1, cols, dtype)[0] if has_beta and not rms else None
        where = f"{name} {rows}x{cols} skew={skew} rms={rms} gamma={has_gamma} beta={has_beta} mask={mask}"
        got = forward(x, gamma, beta, eps, rms)
        found.extend(f"{where}: {text}" for text in cases.check_forward(x, gamma, beta, eps, rms, got))
        mask = [bool(mask[0]), bool(mask[1]) and gamma is not None, bool(mask[2]) and beta is not None]
        _, mean, rstd = got
        back = backward(dy, x, mean, rstd, gamma, beta, mask, rms)
        found.extend(f"{where}: {text}" for text in cases.check_backward(dy, x, mean, rstd, gamma, rms, back))
        again = [*forward(x, gamma, beta, eps, rms), *backward(dy, x, mean, rstd, gamma, beta, mask, rms)]
        for output, (one, two) in enumerate(zip([*got, *back], again)):
            if one is not None and not torch.equal(bits(one), bits(two)):
                found.append(f"{where}: output {output} has other bits in a second run")


def part_rows(name):
    """A row has the same bits alone and as the first, a middle and the last row of every batch, at every alignment."""
    dtype = NAMES[name]
    for cols in ([64, 261, 1024] if small else [7, 64, 261, 768, 1000, 1024, 4096, 8192, 16388, 40000]):
        draw = generator(cols)
        row, dy_row = cases.random(draw, 1, cols, dtype), cases.random(draw, 1, cols, dtype)
        gamma, beta = cases.random(draw, 2, cols, dtype)
        batches = [n for n in (1, 2, 3, 31, 128, 5000) if n * cols <= (10_000 if small else 250_000_000)]
        for rms in (False, True) if HAS_RMS else (False,):
            alone = None
            for rows, skew in itertools.product(batches, range(16 // dtype.itemsize)):
                if skew and rows not in (1, 3, 128):
                    continue
                x, dy = (cases.random(draw, rows, cols, dtype, skew) for _ in range(2))
                positions = sorted({0, rows // 2, rows - 1})
                x[positions], dy[positions] = row, dy_row
                y, mean, rstd = forward(x, gamma, beta, 1e-5, rms)
                dx, _, _ = backward(dy, x, mean, rstd, gamma, beta, [True, False, False], rms)
                outputs = {"y": y, "mean": mean, "rstd": rstd, "dx": dx}
                if alone is None:
                    alone = {key: t[:1].clone() for key, t in outputs.items() if t is not None}
                for key, expected in alone.items():
                    same = bits(outputs[key][positions]) == bits(expected)
                    if not bool(same.all()):
                        where = f"{name} {rows}x{cols} skew={skew} rms={rms}"
                        found.append(f"{where}: a row's {key} has other bits than alone")


def step(x, weight, bias, dy, cols):
    y = F.layer_norm(x, (cols,), weight, bias)
    wanted = [t for t in (x, weight, bias) if t is not None and t.requires_grad]
    made["forward"] += 1
    made["dx"] += x.requires_grad
    made["dgamma"] += any(t is not None and t.requires_grad for t in (weight, bias))
    return y, torch.autograd.grad(y, wanted, dy) if wanted else []


def reference(x, weight, bias, dy):
    """The same step in float64 by PyTorch's CPU kernels."""
    x, weight, bias = (None if t is None else t.detach().cpu().double().requires_grad_(t.requires_grad)
                       for t in (x, weight, bias))  # fmt: skip
    y = F.layer_norm(x, x.shape[-1:], weight, bias)
    wanted = [t for t in (x, weight, bias) if t is not None and t.requires_grad]
    return y, torch.autograd.grad(y, wanted, dy.cpu().double()) if wanted else []


def compare(where, got, expected, dy):
    """Allows the error of sums of n terms as large as dy or the largest value: n roundings of the accumulator, one of
    the type."""
    for i, (one, two) in enumerate(zip([got[0], *got[1]], [expected[0], *expected[1]], strict=True)):
        one, two = one.detach().cpu().double(), two.detach()
        largest = max(float(two.abs().max()), float(dy.abs().max()))
        allowed = (two.numel() * 2.0**-24 + 2 * cases.unit(dy.dtype)) * largest
        error = float((one - two).abs().max())
        if not error <= allowed:
            found.append(f"{where}: output {i} is off by {error:.3g}, allowed {allowed:.3g}")


def part_autograd():
    """Frozen parameters, no parameters, inputs without gradients, upstream gradients of every layout."""
    made["threads"] = 1
    draw = generator(1)
    for dtype, cols, kind in itertools.product((torch.float32, torch.bfloat16), (64, 261, 1024),
                                               ("plain", "transposed", "expanded", "sliced")):  # fmt: skip
        for wants, has in (((1, 1, 1), (1, 1)), ((1, 0, 0), (1, 1)), ((0, 1, 1), (1, 1)), ((1, 0, 0), (0, 0)),
                           ((1, 1, 0), (1, 0)), ((1, 0, 1), (1, 1)), ((0, 0, 0), (1, 1))):  # fmt: skip
            x = cases.random(draw, 6, cols, dtype).requires_grad_(bool(wants[0]))
            weight, bias = (cases.random(draw, 1, cols, dtype)[0].clone().requires_grad_(bool(wants[i + 1]))
                            if has[i] else None for i in range(2))  # fmt: skip
            dy = {"plain": lambda: cases.random(draw, 6, cols, dtype),
                  "transposed": lambda: cases.random(draw, cols, 6, dtype).t(),
                  "expanded": lambda: cases.random(draw, 1, 1, dtype).expand(6, cols),
                  "sliced": lambda: cases.random(draw, 6, cols + 3, dtype)[:, 3:]}[kind]()  # fmt: skip
            where = f"{dtype} cols={cols} {kind} dy, gradients wanted {wants}, parameters {has}"
            compare(where, step(x, weight, bias, dy, cols), reference(x, weight, bias, dy), dy)


def part_streams():
    """The same work on many streams at once, by one thread and by many, has the bits of the default stream."""
    draw = generator(2)
    sets = [[cases.random(draw, 512, 1024, torch.bfloat16) for _ in range(2)] for _ in range(6)]
    gamma, beta = cases.random(draw, 2, 1024, torch.bfloat16)

    def work(x, dy):
        y, mean, rstd = forward(x, gamma, beta, 1e-5, False)
        return [y, *backward(dy, x, mean, rstd, gamma, beta, [True] * 3, False)]

    expected = [work(*one) for one in sets]
    torch.cuda.synchronize()

    def on_stream(i, results):
        torch.cuda.synchronize()  # otherwise a new thread's first launch finds no context yet
        stream = torch.cuda.Stream()
        with torch.cuda.stream(stream):
            for _ in range(2 if small else 20):
                results[i] = work(*sets[i])
        stream.synchronize()

    made["threads"] = len(sets)
    for threaded in (False, True):
        results = [None] * len(sets)
        threads = [threading.Thread(target=on_stream, args=(i, results)) for i in range(len(sets))]
        for thread in threads:
            thread.start() if threaded else thread.run()
        for thread in threads:
            thread.join() if threaded else None
        for i, (one, two) in enumerate(zip(results, expected)):
            if one is None or not all(torch.equal(bits(a), bits(b)) for a, b in zip(one, two)):
                found.append(f"stream {i}, threads: {threaded}: other bits than on the default stream")


def part_graphs():
    """After a warm-up, a capture holds our kernels alone."""
    many = 16 * torch.cuda.get_device_properties(0).multi_processor_count
    for dtype, rows, cols in ((torch.float32, 8, 64), (torch.bfloat16, 33, 1024), (torch.float16, 7, 261),
                              (torch.bfloat16, many, 64), (torch.float32, many + 1, 64)):  # fmt: skip
        draw = generator(cols)
        x, dy = (cases.random(draw, rows, cols, dtype) for _ in range(2))
        gamma, beta = cases.random(draw, 2, cols, dtype)

        def work():
            y, mean, rstd = forward(x, gamma, beta, 1e-5, False)
            return (y, mean, rstd), backward(dy, x, mean, rstd, gamma, beta, [True] * 3, False)

        work()
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            got, back = work()
        for seed in range(3):
            x.copy_(cases.random(generator(100 + seed), rows, cols, dtype))
            dy.copy_(cases.random(generator(200 + seed), rows, cols, dtype))
            graph.replay()
            torch.cuda.synchronize()
            where = f"graph {dtype} {rows}x{cols} replay {seed}"
            found.extend(f"{where}: {text}" for text in cases.check_forward(x, gamma, beta, 1e-5, False, got))
            found.extend(f"{where}: {text}" for text in cases.check_backward(dy, x, *got[1:], gamma, False, back))


DRAWS = {
    "normal": lambda t: t, "offset 1e2": lambda t: t + 1e2, "offset 1e4": lambda t: t + 1e4, "tiny": lambda t: t * 1e-4,
    "huge": lambda t: t * 1e4, "signs": lambda t: t.abs() * (1 - 2 * (torch.arange(t.shape[1], device="cuda") % 2)),
    "outlier": lambda t: t.index_fill(1, torch.zeros(1, dtype=torch.long, device="cuda"), 1e4),
}  # fmt: skip


def part_accuracy():
    """Relative to the original's error on the same values: RMS <= 1.05 times, 99.9th percentile <= 1.25 times."""
    rows = 32 if small else 10_000
    print("error against float64, ours / PyTorch's: RMS, 99.9th percentile")
    for name, cols, (kind, change) in itertools.product(("f32", "bf16", "f16"), (256, 1024), DRAWS.items()):
        if name == "f16" and kind in ("huge", "offset 1e4"):
            continue  # beyond the type's range, or nothing but rounding
        dtype, draw = NAMES[name], generator(cols)
        x = change(cases.random(draw, rows, cols, torch.float32)).to(dtype)
        dy, (gamma, beta) = cases.random(draw, rows, cols, dtype), cases.random(draw, 2, cols, dtype)
        exact = bounds.statistics(x.double(), 1e-5, False, *cases.rounding(x))
        xhat, mean, rstd = exact["xhat"][0], exact["mean"][0].float(), exact["rstd"][0].float()
        xhat_given = (x.double() - mean.double()) * rstd.double()
        g = dy.double() * gamma.double()
        dx_ref = rstd.double() * (g - (xhat_given * (g * xhat_given).mean(1, keepdim=True) + g.mean(1, keepdim=True)))
        expected = {"y": xhat * gamma.double() + beta.double(), "dx": dx_ref}
        mask = [True, False, False]
        ours = {"y": forward(x, gamma, beta, 1e-5, False)[0],
                "dx": backward(dy, x, mean, rstd, gamma, beta, mask, False)[0]}  # fmt: skip
        with preload.original():
            theirs = {"y": cases.forward(x, gamma, beta, 1e-5, False)[0],
                      "dx": cases.backward(dy, x, mean, rstd, gamma, beta, mask, False)[0]}  # fmt: skip
        for output, value in expected.items():
            one, two = error_of(ours[output], value), error_of(theirs[output], value)
            ratios = [a / b if b else (1.0 if a == 0 else float("inf")) for a, b in zip(one, two)]
            text = f"{name} {cols} {kind}, {output}: {ratios[0]:.3f}, {ratios[1]:.3f}"
            print(text)
            if not small and not (ratios[0] <= 1.05 and ratios[1] <= 1.25):  # softgpu's originals are float64
                found.append(text)


def part_special():
    """Rows with NaN or infinities give NaN where the original does, and in no other row."""
    for name, cols, rms in itertools.product(NAMES, (64, 261, 4096), (False, True) if HAS_RMS else (False,)):
        draw, bad = generator(cols), [float("nan"), float("inf"), float("-inf")]
        x = cases.random(draw, 9, cols, NAMES[name])
        for i, value in enumerate(bad):
            x[2 * i + 1, (7 * i + 3) % cols] = value
        x[7, 0], x[7, cols - 1] = bad[1], bad[2]
        gamma, beta = cases.random(draw, 2, cols, NAMES[name])
        ours = forward(x, gamma, beta, 1e-5, rms)[0].double()
        with preload.original():
            theirs = cases.forward(x, gamma, beta, 1e-5, rms)[0].double()
        same = (ours.isnan() == theirs.isnan()).all() and not ours[::2].isnan().any()
        if not bool(same):
            found.append(f"{name} cols={cols} rms={rms}: other elements are NaN than in the original")


def part_huge():
    """With more than 2^32 elements the last rows are right, and so are sums over all rows."""
    rows, cols, dtype, some = (1 << 20) + 7, 4096, torch.bfloat16, 1 << 14
    if torch.cuda.mem_get_info()[0] < 6 * rows * cols * 2:
        print("not enough memory: left out")
        return
    x, dy = (torch.empty(rows, cols, dtype=dtype, device="cuda").normal_(generator=generator(i)) for i in range(2))
    gamma, beta = cases.random(generator(2), 2, cols, dtype)
    y, mean, rstd = forward(x, gamma, beta, 1e-5, False)
    dx, dgamma, dbeta = backward(dy, x, mean, rstd, gamma, beta, [True] * 3, False)
    for part in (slice(0, 3), slice(rows - 9, rows)):
        got = y[part], mean[part], rstd[part]
        found.extend(f"huge: {text}" for text in cases.check_forward(x[part], gamma, beta, 1e-5, False, got))
        found.extend(f"huge: {text}" for text in cases.check_backward(dy[part], x[part], mean[part], rstd[part], gamma,
                                                                      False, (dx[part], None, None)))  # fmt: skip
    sums = torch.zeros(4, cols, dtype=torch.float64, device="cuda")
    for at in range(0, rows, some):
        part = slice(at, min(at + some, rows))
        term = dy[part].double()
        sums[0] += term.sum(0)
        sums[1] += term.abs().sum(0)
        term *= (x[part].double() - mean[part].double()) * rstd[part].double()
        sums[2] += term.sum(0)
        sums[3] += term.abs().sum(0)
    bound = (cases.column_chain(rows) + 4) * 2.0**-24
    texts = [cases.wrong("dbeta", dbeta, sums[0], bound * sums[1], dtype),
             cases.wrong("dgamma", dgamma, sums[2], bound * sums[3], dtype)]  # fmt: skip
    found.extend(f"huge: {text}" for text in texts if text)


def part_pairs():
    """Prints the bits of backwards of many rows, each of which is a pair (f64 has none)."""
    shapes = [(100, 64), (100, 261)] if small else [(2200, 64), (2200, 261), (2500, 1001), (4096, 768), (8192, 1024),
              (2500, 4096), (2500, 8192), (65_536, 768), (200_704, 128)]  # fmt: skip
    made["pairs"] = 0
    for name, (rows, cols), rms in itertools.product(("f32", "bf16", "f16"), shapes, (False, True)):
        if rms and not HAS_RMS:
            continue
        draw = generator(rows + cols)
        x, dy = (cases.random(draw, rows, cols, NAMES[name]) for _ in range(2))
        gamma, beta = cases.random(draw, 2, cols, NAMES[name])
        for turn in range(2):
            _, mean, rstd = forward(x, gamma, beta, 1e-5, rms)
            print_bits(f"{name} {rows}x{cols} rms={rms}", *backward(dy, x, mean, rstd, gamma, beta, [True] * 3, rms))
            made["pairs"] += 1


def part_steps():
    """Enough steps of a few shapes for the modes that check or measure the first launches of each."""
    for name, (rows, cols) in itertools.product(("f32", "bf16"), ((40, 768), (100 if small else 2200, 64))):
        draw = generator(cols)
        x, dy = (cases.random(draw, rows, cols, NAMES[name]) for _ in range(2))
        gamma, beta = cases.random(draw, 2, cols, NAMES[name])
        for _ in range(48):  # measure mode takes 21 of each kernel
            got = forward(x, gamma, beta, 1e-5, False)
            back = backward(dy, x, *got[1:], gamma, beta, [True] * 3, False)
            torch.cuda.synchronize()
        found.extend(cases.check_forward(x, gamma, beta, 1e-5, False, got))
        found.extend(cases.check_backward(dy, x, *got[1:], gamma, False, back))


def print_bits(name, *tensors):
    for tensor in tensors:
        if tensor is not None:
            print(name, hashlib.sha256(bits(tensor).cpu().numpy().tobytes()).hexdigest()[:16])


def part_bits():
    for name, dtype in NAMES.items():
        many = 100 if small else 2200  # rows of a pair
        for rows, cols in ((64, 64), (33, 261), (7, 4096), (3, 20001), (many, 64), (many, 261)):
            draw = generator(rows)
            x, dy = (cases.random(draw, rows, cols, dtype) for _ in range(2))
            gamma, beta = cases.random(draw, 2, cols, dtype)
            y, mean, rstd = forward(x, gamma, beta, 1e-5, False)
            back = backward(dy, x, mean, rstd, gamma, beta, [True] * 3, False)
            print_bits(f"{name} {rows}x{cols}", y, mean, rstd, *back)


def main():
    part, calls = sys.argv[1:3]
    name, _, dtype = part.partition("-")
    globals()[f"part_{name}"](*([dtype] if dtype else []))
    torch.cuda.synchronize()
    for text in found[:20]:
        print("WRONG", text)
    if len(found) > 20:
        print(f"WRONG and {len(found) - 20} more")
    with open(calls, "w") as file:
        json.dump(made, file)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
