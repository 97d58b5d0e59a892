# SPDX-License-Identifier: Apache-2.0
"""Times PyTorch's layer-norm kernels and ours in one process. Run by tools/bench.sh, which says what is measured.
The parent starts a child with switch.so and fuseln preloaded. The child times each case both ways, alternating, and
writes its lines of bench.csv at once. At the end the parent checks the report against the calls made: a launch meant
for the original must not be in it, and one meant for fuseln must have been replaced.
Usage: bench.py [--rehearse] [--seconds N] FOLDER
"""

import argparse
import contextlib
import csv
import json
import math
import pathlib
import statistics
import sys
import time

import preload

# What models run: (model, rows, cols), rows = batch x tokens. CORE are the shapes whose ceilings were modelled.
CORE = [
    ("BERT-large", 8192, 1024), ("OPT-6.7B", 8192, 4096), ("GPT-2", 65536, 768), ("BERT-base", 4096, 768),
    ("GPT-2 medium", 32768, 1024), ("OPT-1.3B", 16384, 2048), ("OPT-13B", 8192, 5120), ("LLM 8192", 4096, 8192),
    ("GPT-3", 4096, 12288), ("OPT-1.3B", 4096, 2048), ("OPT-6.7B", 2048, 4096), ("BERT-base", 512, 768),
]  # fmt: skip
MORE = [
    ("decode 4096", 64, 4096), ("decode 8192", 64, 8192), ("decode 1024", 64, 1024), ("decode 12288", 128, 12288),
    ("ViT-B/16", 25216, 768), ("ViT-L/16", 25216, 1024), ("ViT-H/14", 16448, 1280), ("ViT-g", 8224, 1408),
    ("Swin-T 96", 401408, 96), ("Swin-T 192", 100352, 192), ("Swin-T 384", 25088, 384), ("ConvNeXt-B", 200704, 128),
    ("AlphaFold pair", 147456, 128), ("AlphaFold MSA", 196608, 256), ("tabular", 1048576, 64),
    ("tokens 1M", 1048576, 768), ("Whisper-tiny", 24000, 384), ("Whisper-base", 24000, 512),
    ("Whisper-large", 12000, 1280), ("wav2vec2", 31968, 512),
    ("GPT-2 large", 16384, 1280), ("GPT-2 XL", 8192, 1600), ("Phi-2", 8192, 2560), ("DiT-XL", 16384, 1152),
    ("Flux", 9216, 3072), ("SDXL 640", 8192, 640), ("SD 320", 32768, 320), ("ESM-2 3B", 8192, 2560),
    ("GPT-NeoX", 4096, 6144), ("OPT-30B", 4096, 7168), ("OPT-66B", 4096, 9216), ("BLOOM", 2048, 14336),
    ("Falcon-180B", 2048, 14848), ("MT-NLG", 1024, 20480), ("wide", 2048, 32768), ("widest", 1024, 65536),
    ("long rows", 131072, 4096), ("batch 256 BERT", 131072, 1024), ("odd 261", 16384, 261), ("odd 1001", 8192, 1001),
]  # fmt: skip
RMS = [("RMS 1024", 8192, 1024), ("RMS Llama 7B", 8192, 4096), ("RMS 8192", 4096, 8192), ("RMS decode", 64, 4096)]
FIELDS = ["model", "rows", "cols", "dtype", "norm", "op", "how", "reps", "original_us", "original_iqr_us", "fuseln_us",
          "fuseln_iqr_us", "bytes"]  # fmt: skip
MASKS = {"backward": [True, True, True], "dx": [True, False, False], "dgamma": [False, True, True]}


def plan():
    """Yields (model, rows, cols), dtype, norm, op, the most important first. The halves of a backward alone come after
    all pairs, so that what fuseln learns from one does not affect the other."""
    for group, dtypes in ((CORE, ("bf16", "f32")), (MORE, ("bf16", "f32")), (CORE + MORE, ("f16",))):
        for dtype in dtypes:
            for shape in group:
                yield from ((shape, dtype, "layer", op) for op in ("forward", "backward"))
    yield from ((s, d, "rms", op) for d in ("bf16", "f32") for s in RMS for op in ("forward", "backward"))
    yield from ((s, "f64", "layer", op) for s in CORE[:4] for op in ("forward", "backward"))
    yield from ((s, d, "layer", op) for d in ("bf16", "f32") for s in CORE + MORE for op in ("dx", "dgamma"))


def quartiles(values):
    """Returns the median and the interquartile range."""
    if len(values) < 3:
        return statistics.median(values), max(values) - min(values)
    low, middle, high = statistics.quantiles(values, n=4)
    return middle, high - low


class Bench:
    """The child's state: the deadline, buffers, and the calls made."""

    def __init__(self, rehearse, seconds):
        import torch

        self.torch, self.rehearse, self.deadline = torch, rehearse, time.monotonic() + seconds
        self.made = {"forward": 0, "dx": 0, "dgamma": 0}
        properties = torch.cuda.get_device_properties(0)
        l2 = getattr(properties, "L2_cache_size", 0) or 64 << 20
        self.flushed = torch.zeros((1 << 16 if rehearse else max(4 * l2, 256 << 20)) // 4, device="cuda")
        self.free = 1 << 24 if rehearse else int(0.85 * torch.cuda.mem_get_info()[0])

    def flush(self):
        """Reads, since what is timed would have to write back dirty lines."""
        self.flushed.sum()

    def hold(self, microseconds):
        """Keeps the device busy while the host queues what is timed; else a short kernel's time would be the host's."""
        if not self.rehearse:
            self.torch.cuda._sleep(int(microseconds * 2000))

    def events(self, queue):
        """Returns a function that gives the time in us between two events around queue()."""
        begin, end = (self.torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        queue()
        end.record()
        return lambda: begin.elapsed_time(end) * 1e3

    def alternate(self, reps, prepare, queues):
        """Returns medians and spreads of the two ways, in us; the order changes from pair to pair."""
        times = ([], [])
        for rep in range(reps):
            for way in (0, 1) if rep % 2 else (1, 0):
                prepare()
                with self.way(way):
                    times[way].append(self.events(queues[way]))
        self.torch.cuda.synchronize()
        return [quartiles([time() for time in one]) for one in times]

    @staticmethod
    def way(original):
        return preload.original() if original else contextlib.nullcontext()

    def copy_bandwidth(self):
        """Returns the bytes that a large device-to-device copy reads and writes, and its time in us."""
        n = 1 << 16 if self.rehearse else 1 << 30
        a, b = (self.torch.ones(n, dtype=self.torch.uint8, device="cuda") for _ in range(2))
        repeat(lambda: b.copy_(a), 3 if self.rehearse else 300)  # until the clocks are up
        times = [self.events(lambda: b.copy_(a)) for _ in range(3 if self.rehearse else 20)]
        self.torch.cuda.synchronize()
        return 2 * n, quartiles([time() for time in times])

    def host_time(self, calls=400, rounds=21):
        """Returns how long a call of a small layer norm takes the calling thread, in us: medians for the original and
        ours. The queue never fills, and the device is quicker than the host."""
        run = operation(self, ("", 8, 64), "f32", "layer", "forward")
        times = ([], [])
        for turn in range(2 * rounds):
            way = (turn + turn // 2) % 2
            self.torch.cuda.synchronize()
            with self.way(way):
                begin = time.perf_counter()
                repeat(run, calls)
                times[way].append(time.perf_counter() - begin)
        self.made["forward"] += calls * rounds
        return [statistics.median(one) / calls * 1e6 for one in reversed(times)]


def compulsory_bytes(op, rows, cols, size, norm):
    """Each tensor once, parameters and statistics included."""
    tensors = {"forward": 2, "backward": 3, "dx": 3, "dgamma": 2}[op]
    parameters = {"forward": 2, "backward": 3, "dx": 1, "dgamma": 2}[op] - (norm == "rms" and op != "dx")
    return tensors * rows * cols * size + parameters * cols * size + (1 if norm == "rms" else 2) * rows * max(size, 4)


def operation(bench, shape, dtype, norm, op):
    """Returns a function that launches the case's kernels on its own tensors and returns what they wrote."""
    import cases

    torch = bench.torch
    (_, rows, cols), rms = shape, norm == "rms"
    tensor = lambda *size: torch.empty(*size, dtype=cases.NAMES[dtype], device="cuda").normal_()  # noqa: E731
    x, gamma, beta = tensor(rows, cols), tensor(cols), None if rms else tensor(cols)
    if op == "forward":
        return lambda: cases.forward(x, gamma, beta, 1e-5, rms)
    dy = tensor(rows, cols)
    with preload.original():
        _, mean, rstd = cases.forward(x, gamma, beta, 1e-5, rms)
    return lambda: cases.backward(dy, x, mean, rstd, gamma, beta, MASKS[op], rms)


def check_same(torch, ours, theirs):
    """Checks that both compute the same function, within 2 % of the largest value; check.py is for accuracy."""
    got = ours()
    with preload.original():
        expected = theirs()
    for i, (one, two) in enumerate(zip(got, expected)):
        if one is not None and one.numel():
            largest = float(two.abs().max())
            error = float(one.sub_(two).abs_().max())
            if not error <= 0.02 * largest:
                raise AssertionError(f"output {i} differs from PyTorch's by {error:.3g} of {largest:.3g}")
    torch.cuda.synchronize()


def graph_of(torch, run, launches):
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        repeat(run, launches)
    return graph


def repeat(run, times):
    for _ in range(times):
        run()


def measure(bench, shape, dtype, norm, op):
    """Yields (how, reps, [(median, spread) of ours, of the original]) for one case."""
    torch = bench.torch
    run = operation(bench, shape, dtype, norm, op)
    calls = {"forward": ["forward"], "backward": ["dx", "dgamma"], "dx": ["dx"], "dgamma": ["dgamma"]}[op]

    def ours():
        for call in calls:
            bench.made[call] += 1
        return run()

    check_same(torch, ours, run)
    queues = [ours, run]
    rough = bench.alternate(3, bench.flush, queues)[1][0]
    reps = 3 if bench.rehearse else max(7, min(41, int(40_000 / rough)))
    result = bench.alternate(reps, bench.flush, queues)
    yield "flushed", reps, result
    many = 2 if bench.rehearse else max(1, min(20, int(3_000 / rough)))
    repeated = [lambda q=q: repeat(q, many) for q in queues]
    reps = 3 if bench.rehearse else max(5, min(11, int(20_000 / rough / many)))
    result = bench.alternate(reps, lambda: bench.hold(100 + 60 * many), repeated)
    yield "warm", reps, [(middle / many, spread / many) for middle, spread in result]
    if op in ("forward", "dx") and (rough < 200 or bench.rehearse):  # in capture gamma and beta stay with the original
        many = 4 if bench.rehearse else 100
        graphs = []
        for way in (0, 1):
            with bench.way(way):
                graphs.append(graph_of(torch, queues[way], many))
        reps = 3 if bench.rehearse else 11
        result = bench.alternate(reps, lambda: bench.hold(100), [graph.replay for graph in graphs])
        yield "graph", reps, [(middle / many, spread / many) for middle, spread in result]


def child(options):
    bench = Bench(options.rehearse, options.seconds)
    torch, failures, done = bench.torch, 0, 0
    every = list(plan())
    if options.rehearse:
        every = [((m, min(r, 12), c), d, n, o) for (m, r, c), d, n, o in every if c <= 1024][:: options.rehearse]
    with open(options.folder / "bench.csv", "w", newline="") as file:
        table = csv.DictWriter(file, FIELDS)
        table.writeheader()

        def write_copy():
            size, (middle, spread) = bench.copy_bandwidth()
            print(f"copy bandwidth: {size / middle / 1e3:.0f} GB/s", flush=True)
            numbers = {"original_us": middle, "original_iqr_us": spread, "bytes": size}
            table.writerow({"op": "copy", "how": "flushed", **numbers})

        write_copy()
        theirs, ours = bench.host_time(*((4, 3) if options.rehearse else ()))
        print(f"host time of a call of a layer norm of 8 x 64: {theirs:.2f} -> {ours:.2f} us", flush=True)
        for number, (shape, dtype, norm, op) in enumerate(every):
            if time.monotonic() > bench.deadline:
                print(f"stopped at the time limit: {number} of {len(every)} cases")
                break
            (model, rows, cols), size = shape, {"f64": 8, "f32": 4}.get(dtype, 2)
            name = f"{model:15} {rows:8}x{cols:<6}{dtype:5}{norm} {op:9}"
            if 7 * rows * cols * size > bench.free:
                print(f"{name}skipped: too large for this device's memory")
                continue
            try:
                for how, reps, ((ours, ours_iqr), (theirs, theirs_iqr)) in measure(bench, shape, dtype, norm, op):
                    row = [model, rows, cols, dtype, norm, op, how, reps, theirs, theirs_iqr, ours, ours_iqr,
                           compulsory_bytes(op, rows, cols, size, norm)]  # fmt: skip
                    table.writerow(dict(zip(FIELDS, row)))
                    name += f" {how} {theirs:8.1f} -> {ours:8.1f} us {theirs / ours:5.2f}x"
                done += 1
                print(name, flush=True)
            except Exception as error:  # the next case may work
                failures += 1
                print(f"{name} WRONG {type(error).__name__}: {error}", flush=True)
            file.flush()
            torch.cuda.empty_cache()
        write_copy()
    bench.made["switch"] = preload.switch_counts()
    (options.folder / "bench.calls.json").write_text(json.dumps(bench.made))
    print(f"{done} cases measured, {failures} failed")
    sys.exit(1 if failures or not done else 0)


def parent(options):
    options.folder.mkdir(parents=True, exist_ok=True)
    preload.make_switch()
    calls = options.folder / "bench.calls.json"
    calls.unlink(missing_ok=True)
    arguments, path = ["--child", *sys.argv[1:]], options.folder / "bench.report.json"
    status, _, report = preload.run(pathlib.Path(__file__), arguments, path, capture=False)
    found = [] if status == 0 else [f"exit status {status}"]
    if calls.exists():
        made = json.loads(calls.read_text())
        found += preload.wrong_in_report(report, made)
        ours, theirs = made["switch"]
        if not report or report["totals"]["launches"] != ours or not theirs:
            saw = report and report["totals"]["launches"]
            found.append(f"{ours} launches were sent to fuseln and {theirs} past it; it saw {saw}")
    for line in found:
        print(f"WRONG {line}")
    if not found:
        print("each launch went the way it was sent, and each of ours was replaced (report checked)")
    sys.exit(1 if found else 0)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--seconds", type=float, default=math.inf)
    parser.add_argument("--rehearse", type=int, nargs="?", const=9, default=0, metavar="N", help="each Nth case, tiny")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    (child if options.child else parent)(options)


if __name__ == "__main__":
    main()
