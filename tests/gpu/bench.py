# SPDX-License-Identifier: Apache-2.0
"""Times PyTorch's layer-norm kernels and ours in one process, and other people's (peers.py). Run by tools/bench.sh,
which says what is measured. The parent starts a child with switch.so and fuseln preloaded. The child times each case in
every way, alternating, and adds its lines to bench.csv at once; cases that are there already are not timed again. At
the end the parent checks the report against the calls made: a launch meant for the original must not be in it, and one
meant for fuseln must have been replaced.
Usage: bench.py [--small] [--seconds N] [--library LABEL=FILE] telling|rows|peers|all FOLDER
Exit status: 0, 1 if something was wrong, 75 if the time was up before the last case.
"""

import argparse
import collections
import contextlib
import csv
import json
import math
import pathlib
import statistics
import sys
import time
import types

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
# What a run of a few minutes should answer, the most telling first: (model, rows, cols, dtype, norms, ops). The norm
# "bare" has no gamma and beta.
TELLING = [
    # pairs, and rows that fill their chunks
    ("BERT-large", 8192, 1024, "bf16", "layer", "forward backward both"),
    ("GPT-2", 65536, 768, "bf16", "layer", "forward backward both"),
    ("OPT-6.7B", 8192, 4096, "bf16", "layer", "forward backward both"),
    ("BERT-base", 4096, 768, "bf16", "layer", "forward backward both"),
    ("OPT-6.7B", 8192, 4096, "f32", "layer", "forward backward both"),
    ("RMS Llama 7B", 8192, 4096, "bf16", "rms", "forward backward both"),
    # rounds of loads: without parameters there are fewer
    ("GPT-2 large", 16384, 1280, "bf16", "layer bare", "forward"),
    ("decode 1024", 64, 1024, "f32", "layer bare", "forward backward"),
    ("BERT-base", 512, 768, "bf16", "layer", "forward backward both"),
    ("GPT-2 XL", 8192, 1600, "bf16", "layer", "forward backward"),
    # the original's spare rows of partial sums, which ours sets to zero: none, 2056, 16384
    ("spare none", 65536, 64, "f32", "layer", "dgamma"),
    ("spare 2056", 65792, 64, "f32", "layer", "dgamma"),
    ("tabular", 1048576, 64, "f32", "layer", "dgamma backward"),
    # wider than 8192 columns
    ("OPT-66B", 4096, 9216, "bf16", "layer", "forward dx backward"),
    ("GPT-3", 4096, 12288, "bf16", "layer", "forward backward both"),
    ("widest", 1024, 65536, "f32", "layer", "forward backward"),
    # rows that are not aligned
    ("odd 1001", 8192, 1001, "bf16", "layer", "forward backward"),
    ("odd 261", 16384, 261, "f32", "layer", "forward backward"),
    ("Swin-T 96", 401408, 96, "f32", "layer", "backward"),
    ("GPT-2", 65536, 768, "f32", "layer", "forward backward"),
]  # fmt: skip
# Few rows, for libraries that begin to pair at different numbers of rows.
ROWS = [("few rows", rows, cols) for cols in (1024, 4096) for rows in (384, 640, 1024, 1536, 2048)]
ID = ["model", "rows", "cols", "dtype", "norm", "op", "library"]
FIELDS = [*ID[:6], "how", "reps", "original_us", "original_iqr_us", "fuseln_us", "fuseln_iqr_us", "bytes", "library",
          "compile_us", "liger_us", "quack_us", "peers"]  # fmt: skip
MASKS = {"backward": [True, True, True], "dx": [True, False, False], "dgamma": [False, True, True]}
CALLS = {"forward": ["forward"], "backward": ["dx", "dgamma"], "both": ["forward", "dx", "dgamma"], "dx": ["dx"],
         "dgamma": ["dgamma"]}  # fmt: skip
MORE_TO_DO = 75
Case = collections.namedtuple("Case", [*ID, "tensors"], defaults=["", None])


def telling():
    for model, rows, cols, dtype, norms, ops in TELLING:
        for norm in norms.split():
            yield from (Case(model, rows, cols, dtype, norm, op) for op in ops.split())


def everything():
    """The most important first. The halves of a backward alone come after all pairs, so that what fuseln learns from
    one does not affect the other."""
    yield from (case for case in telling() if case.op not in ("dx", "dgamma"))
    for group, dtypes in ((CORE, ("bf16", "f32")), (MORE, ("bf16", "f32")), (CORE + MORE, ("f16",))):
        for dtype in dtypes:
            for shape in group:
                yield from (Case(*shape, dtype, "layer", op) for op in ("forward", "backward"))
    yield from (Case(*s, d, "rms", op) for d in ("bf16", "f32") for s in RMS for op in ("forward", "backward"))
    yield from (Case(*s, "f64", "layer", op) for s in CORE[:4] for op in ("forward", "backward"))
    yield from (Case(*s, d, "layer", op) for d in ("bf16", "f32") for s in CORE + MORE for op in ("dx", "dgamma"))


def plan(options):
    """Returns the cases of the word, each once; a tiny one of each kind for a rehearsal."""
    found = {
        "telling": telling,
        "rows": lambda: (Case(*shape, "bf16", "layer", "backward", options.library[0]) for shape in ROWS),
        "peers": lambda: (case for case in telling() if case.norm != "bare" and case.op not in ("dx", "dgamma")),
        "all": everything,
    }[options.word]()
    found = list(dict.fromkeys(found))
    if options.small:
        kinds = {(case.dtype, case.norm, case.op): case for case in reversed(found)}
        found = [case._replace(rows=min(case.rows, 12), cols=min(case.cols, 300)) for case in kinds.values()]
    return found


def left_of(cases, path, with_peers):
    """Returns the cases that bench.csv does not hold yet."""
    done = set()
    if path.exists():
        with open(path, newline="") as file:
            done = {tuple(map(row.get, ID)) for row in csv.DictReader(file) if bool(row["peers"]) == with_peers}
    return [case for case in cases if tuple(str(getattr(case, key)) for key in ID) not in done]


def quartiles(values):
    """Returns the median and the interquartile range."""
    if len(values) < 3:
        return statistics.median(values), max(values) - min(values)
    low, middle, high = statistics.quantiles(values, n=4)
    return middle, high - low


class Bench:
    """The child's state: the deadline, buffers, and the calls made."""

    def __init__(self, small, seconds):
        import torch

        self.torch, self.small, self.deadline = torch, small, time.monotonic() + seconds
        self.made = {"forward": 0, "dx": 0, "dgamma": 0, "captured": 0}
        properties = torch.cuda.get_device_properties(0)
        l2 = getattr(properties, "L2_cache_size", 0) or 64 << 20
        self.flushed = torch.zeros((1 << 16 if small else max(4 * l2, 256 << 20)) // 4, device="cuda")
        self.free = 1 << 24 if small else int(0.85 * torch.cuda.mem_get_info()[0])

    def flush(self):
        """Reads, since what is timed would have to write back dirty lines."""
        self.flushed.sum()

    def hold(self, microseconds):
        """Keeps the device busy while the host queues what is timed; else a short kernel's time would be the host's."""
        if not self.small:
            self.torch.cuda._sleep(int(microseconds * 2000))

    def events(self, queue):
        """Returns a function that gives the time in us between two events around queue()."""
        begin, end = (self.torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        queue()
        end.record()
        return lambda: begin.elapsed_time(end) * 1e3

    def alternate(self, reps, prepare, queues):
        """Returns {way: (median, spread)} in us, given {way: what to queue}; the order changes from turn to turn."""
        times = {way: [] for way in queues}
        for rep in range(reps):
            for way in list(queues)[:: -1 if rep % 2 else 1]:
                prepare()
                with self.way(way):
                    times[way].append(self.events(queues[way]))
        self.torch.cuda.synchronize()
        return {way: quartiles([time() for time in one]) for way, one in times.items()}

    def rough(self, run):
        """Returns about how long it takes, in us, after a first call that may compile."""
        with self.way("peer"):
            repeat(run, 2)
            self.hold(500)
            time = self.events(lambda: repeat(run, 10))
        self.torch.cuda.synchronize()
        return time()

    @staticmethod
    def way(way):
        return contextlib.nullcontext() if way == "fuseln" else preload.original()

    def copy_bandwidth(self):
        """Returns the bytes that a large device-to-device copy reads and writes, and its time in us."""
        n = 1 << 16 if self.small else 1 << 30
        a, b = (self.torch.ones(n, dtype=self.torch.uint8, device="cuda") for _ in range(2))
        repeat(lambda: b.copy_(a), 3 if self.small else 300)  # until the clocks are up
        times = [self.events(lambda: b.copy_(a)) for _ in range(3 if self.small else 20)]
        self.torch.cuda.synchronize()
        return 2 * n, quartiles([time() for time in times])

    def host_time(self, calls=400, rounds=21):
        """Returns how long a call of a small layer norm takes the calling thread, in us: medians for the original and
        ours. The queue never fills, and the device is quicker than the host."""
        case = Case("", 8, 64, "f32", "layer", "forward")
        run = operation(case._replace(tensors=tensors(self, case)))
        times = {"original": [], "fuseln": []}
        for turn in range(2 * rounds):
            way = list(times)[(turn + turn // 2) % 2]
            self.torch.cuda.synchronize()
            with self.way(way):
                begin = time.perf_counter()
                repeat(run, calls)
                times[way].append(time.perf_counter() - begin)
        self.made["forward"] += calls * rounds
        return [statistics.median(one) / calls * 1e6 for one in times.values()]


def compulsory_bytes(case):
    """Each tensor once, parameters and statistics included."""
    if case.op == "both":
        return sum(compulsory_bytes(case._replace(op=op)) for op in ("forward", "backward"))
    size, rms = {"f64": 8, "f32": 4}.get(case.dtype, 2), case.norm == "rms"
    tensors = {"forward": 2, "backward": 3, "dx": 3, "dgamma": 2}[case.op]
    parameters = {"forward": 2, "backward": 3, "dx": 1, "dgamma": 2}[case.op] - (rms and case.op != "dx")
    parameters *= case.norm != "bare"
    return (tensors * case.rows + parameters) * case.cols * size + (1 if rms else 2) * case.rows * max(size, 4)


def tensors(bench, case):
    """Returns what the case's calls take."""
    import cases

    def tensor(*size):
        return bench.torch.empty(*size, dtype=cases.NAMES[case.dtype], device="cuda").normal_()

    rms = case.norm == "rms"
    made = types.SimpleNamespace(x=tensor(case.rows, case.cols), gamma=None, beta=None, dy=None, mean=None, rstd=None)
    made.gamma = None if case.norm == "bare" else tensor(case.cols)
    made.beta = None if case.norm == "bare" or rms else tensor(case.cols)
    if case.op != "forward":
        made.dy = tensor(case.rows, case.cols)
        with preload.original():
            _, made.mean, made.rstd = cases.forward(made.x, made.gamma, made.beta, 1e-5, rms)
    return made


def operation(case):
    """Returns a function that launches the case's kernels on its tensors and returns what they wrote."""
    import cases

    t, rms = case.tensors, case.norm == "rms"
    mask = MASKS.get(case.op, MASKS["backward"])
    mask = [mask[0], mask[1] and t.gamma is not None, mask[2] and t.beta is not None]

    def forward():
        return cases.forward(t.x, t.gamma, t.beta, 1e-5, rms)

    def backward(mean=t.mean, rstd=t.rstd):
        return cases.backward(t.dy, t.x, mean, rstd, t.gamma, t.beta, mask, rms)

    return {"forward": forward, "both": lambda: backward(*forward()[1:])}.get(case.op, backward)


def wrong(torch, one, original, way):
    """Returns how it differs from PyTorch by more than 2 % of the largest value, or None; check.py is for accuracy."""
    with Bench.way(way):
        got = one()
    with preload.original():
        expected = original()
    for i, (one, two) in enumerate(zip(got, expected)):
        if one is not None and two is not None and two.numel():
            largest = float(two.abs().max())
            error = float((one.view_as(two) - two).abs().max())
            if not error <= 0.02 * largest:
                return f"output {i} differs from PyTorch's by {error:.3g} of {largest:.3g}"
    return None


def graph_of(torch, run, launches):
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        repeat(run, launches)
    return graph


def repeat(run, times):
    for _ in range(times):
        run()


def ways_of(bench, case, peers):
    """Returns {way: function} and, as text, the peers with their settings."""
    run, settings = operation(case), []
    calls = [call for call in CALLS[case.op] if call != "dgamma" or case.norm != "bare"]

    def ours():
        for call in calls:
            bench.made[call] += 1
        return run()

    text = wrong(bench.torch, ours, run, "fuseln")
    if text:
        raise AssertionError(text)
    ways = {"fuseln": ours, "original": run}
    for name, function in peers.items():
        try:
            peer, setting = function(bench, case)
            text = wrong(bench.torch, peer, run, name)
            if text:
                raise AssertionError(text)
            ways[name] = peer
            settings.append(name + setting)
        except Exception as error:
            print(f"     {name} left out: {type(error).__name__}: {str(error).strip().splitlines()[:1]}", flush=True)
    return ways, " ".join(settings) or "none"


def measure(bench, case, ways):
    """Yields (how, reps, {way: (median, spread)})."""
    torch = bench.torch
    rough = bench.alternate(3, bench.flush, ways)["original"][0]
    reps = 3 if bench.small else max(7, min(41, int(40_000 / rough)))
    yield "flushed", reps, bench.alternate(reps, bench.flush, ways)
    many = 2 if bench.small else max(1, min(20, int(3_000 / rough)))
    repeated = {way: lambda run=run: repeat(run, many) for way, run in ways.items()}
    reps = 3 if bench.small else max(5, min(11, int(20_000 / rough / many)))
    yield "warm", reps, each(bench.alternate(reps, lambda: bench.hold(100 + 60 * many), repeated), many)
    if case.op not in ("dgamma", "both") and (rough < 200 or bench.small):
        many = 4 if bench.small else 100
        graphs = {}
        for way, run in ways.items():
            with bench.way(way):
                graphs[way] = graph_of(torch, run, many)
        bench.made["captured"] += many * (case.op == "backward")  # or fewer: some may stay with the original there
        reps = 3 if bench.small else 11
        replays = {way: graph.replay for way, graph in graphs.items()}
        yield "graph", reps, each(bench.alternate(reps, lambda: bench.hold(100), replays), many)


def each(times, many):
    return {way: (middle / many, spread / many) for way, (middle, spread) in times.items()}


def lines_of(bench, case, peers):
    """Measures the case; returns its lines of bench.csv and what to print."""
    case = case._replace(tensors=tensors(bench, case))
    ways, settings = ways_of(bench, case, peers)
    rows, text = [], ""
    for how, reps, times in measure(bench, case, ways):
        row = {key: getattr(case, key) for key in ID} | {"how": how, "reps": reps, "bytes": compulsory_bytes(case)}
        for way in "original", "fuseln":
            row[f"{way}_us"], row[f"{way}_iqr_us"] = times[way]
        row |= {f"{way}_us": times[way][0] for way in list(ways)[2:]} | {"peers": settings if peers else ""}
        rows.append(row)
        theirs, ours = row["original_us"], row["fuseln_us"]
        text += f" {how} {theirs:8.1f} -> {ours:8.1f} us {theirs / ours:5.2f}x"
        text += "".join(f", {way} {times[way][0]:.1f}" for way in list(ways)[2:])
    return rows, text + (f" ({settings})" if peers else "")


def write(path, rows):
    """Adds lines to bench.csv, all of a case at once."""
    new = not path.exists()
    with open(path, "a", newline="") as file:
        table = csv.DictWriter(file, FIELDS)
        if new:
            table.writeheader()
        table.writerows(rows)


def write_copy(bench, path):
    size, (middle, spread) = bench.copy_bandwidth()
    print(f"copy bandwidth: {size / middle / 1e3:.0f} GB/s", flush=True)
    numbers = {"original_us": middle, "original_iqr_us": spread, "bytes": size}
    write(path, [{"op": "copy", "how": "flushed", **numbers}])


def child(options):
    bench, path = Bench(options.small, options.seconds), options.folder / "bench.csv"
    with_peers = options.word == "peers"
    cases = plan(options)
    left = left_of(cases, path, with_peers)
    print(f"{len(cases)} cases, {len(cases) - len(left)} measured before", flush=True)
    peers = {}
    if with_peers and left:
        import peers as others

        peers = others.find()
    write_copy(bench, path)
    if options.word == "telling":
        theirs, ours = bench.host_time(*((4, 3) if options.small else ()))
        print(f"host time of a call of a layer norm of 8 x 64: {theirs:.2f} -> {ours:.2f} us", flush=True)
    failures = number = 0
    for number, case in enumerate(left, 1):
        if time.monotonic() > bench.deadline:
            number -= 1
            break
        name = f"{case.model:15} {case.rows:8}x{case.cols:<6}{case.dtype:5}{case.norm} {case.op:9}{case.library}"
        if 7 * case.rows * case.cols * {"f64": 8, "f32": 4}.get(case.dtype, 2) > bench.free:
            print(f"{name}skipped: too large for this device's memory")
            continue
        try:
            rows, text = lines_of(bench, case, peers)
            write(path, rows)
            print(name + text, flush=True)
        except Exception as error:  # the next case may work
            failures += 1
            print(f"{name} WRONG {type(error).__name__}: {error}", flush=True)
        bench.torch.cuda.empty_cache()
    write_copy(bench, path)
    bench.made["switch"] = preload.switch_counts()
    (options.folder / "bench.calls.json").write_text(json.dumps(bench.made))
    stopped = f"; stopped in time, {len(left) - number} cases left" if number < len(left) else ""
    print(f"{number - failures} cases measured, {failures} failed{stopped}")
    sys.exit(1 if failures else MORE_TO_DO if stopped else 0)


def parent(options):
    library = pathlib.Path(options.library[1] or preload.LIBRARY)
    if not library.exists():
        print(f"{library} was not built")
        sys.exit(77)
    options.folder.mkdir(parents=True, exist_ok=True)
    preload.make_switch()
    calls = options.folder / "bench.calls.json"
    calls.unlink(missing_ok=True)
    arguments, path = ["--child", *sys.argv[1:]], options.folder / "bench.report.json"
    status, _, report = preload.run(pathlib.Path(__file__), arguments, path, fuseln=library, capture=False)
    found = [] if status in (0, MORE_TO_DO) else [f"exit status {status}"]
    if calls.exists():
        made = json.loads(calls.read_text())
        found += preload.wrong_in_report(report, made)
        ours, theirs = made["switch"]
        saw = report["totals"]["launches"] if report else 0  # and, with peers, what Triton launches by the driver
        if not (saw == ours or (options.word == "peers" and saw > ours)) or not theirs:
            found.append(f"{ours} launches were sent to fuseln and {theirs} past it; it saw {saw}")
    for line in found:
        print(f"WRONG {line}")
    if not found:
        print("each launch went the way it was sent, and each of ours was replaced (report checked)")
    calls.unlink(missing_ok=True)
    path.unlink(missing_ok=True)
    sys.exit(1 if found else status)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("word", choices=["telling", "rows", "peers", "all"])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--seconds", type=float, default=math.inf)
    parser.add_argument("--small", action="store_true", help="a tiny case of each kind")
    parser.add_argument("--library", default="=", type=lambda text: text.split("=", 1), metavar="LABEL=FILE")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    (child if options.child else parent)(options)


if __name__ == "__main__":
    main()
