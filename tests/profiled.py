"""Profiler windows as profiling would have stored them, every table of them: one of a GPU and one of a processor.

The GPU's window is made of events on a time line, and its tables are sums over those events: what a page shows can be
checked against them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from torchglass.store import Batch, Fact, ProfilerRow, ProfilerWindow, RowBlock, Run, Store
from torchglass.store.records import Table

STEPS = 3
STEP_NS = 12_000_000
MODULES = ("conv1", "layer1.0.conv1", "layer1.0.bn1", "layer2.0.conv1", "layer2.0.bn1", "fc")
OPERATOR, ANNOTATION, RUNTIME, SYNC, OVERHEAD, KERNEL, COPY, FILL = 0, 1, 2, 3, 4, 10, 11, 12
MAIN, BACKWARD, COMPUTE, NCCL, COPIES = range(5)
LANES = (
    ("thread 4242 (training)", -1, 4242),
    ("thread 4301 (autograd)", -1, 4301),
    ("stream 7", 0, 7),
    ("stream 20 (NCCL)", 0, 20),
    ("stream 22", 0, 22),
)
KERNELS = {
    "aten::convolution": ("sm90_xmma_fprop_implicit_gemm_bf16bf16_bf16f32_f32_nhwckrsc_nhwc_tilesize128x128x64", True),
    "aten::convolution_backward": ("sm90_xmma_dgrad_implicit_gemm_bf16bf16_bf16f32_f32_nhwckrsc_nhwc", True),
    "aten::native_batch_norm": ("void cudnn::bn_fw_tr_1C11_kernel_NCHW<float, float, int, 512, true, 1, true>", False),
    "aten::addmm": ("nvjet_hsh_128x256_64x4_1x2_h_bz_coopA_NTN", True),
    "aten::_foreach_add_": ("void at::native::multi_tensor_apply_kernel<at::native::TensorListMetadata<2>>", False),
}
WORK = {
    "device": "NVIDIA H200",
    "formats": {"bfloat16": 4_000_000_000},
    "operators": [
        {"name": "aten::convolution", "pass": "forward", "format": "bfloat16", "calls": 3, "flops": 30e9, "bytes": 1e8},
        {"name": "aten::addmm", "pass": "forward", "format": "bfloat16", "calls": 1, "flops": 5e9, "bytes": 9e7},
    ],
    "peak": {"flops_per_second": {"bfloat16": 989.5e12}, "memory_bytes_per_second": 4.8e12, "device": "H200 SXM"},
}
PHASE_MS = {
    "data": 2.0, "to_device": 0.6, "forward": 3.0, "backward": 4.0, "gradient_sync": 0.9,
    "optimizer": 0.8, "torchglass": 0.1, "other": 0.6,
}  # fmt: skip


class Event(NamedTuple):
    """A slice of a time line; `operator`, `module` and `phase` say what launched a kernel."""

    lane: int
    depth: int
    start: int
    duration: int
    name: str
    kind: int
    phase: str = ""
    module: str = ""
    operator: str = ""


@dataclass
class Timeline:
    """Events in the making."""

    events: list[Event] = field(default_factory=list)
    free_at: dict[int, int] = field(default_factory=lambda: {COMPUTE: 0, NCCL: 0, COPIES: 0})

    def host(self, lane: int, depth: int, start: float, duration: float, name: str, kind: int = OPERATOR) -> None:
        self.events.append(Event(lane, depth, int(start), int(duration), name, kind))

    def launch(self, lane: int, start: float, duration: float, name: str, kind: int, *of: str) -> None:
        """Work of a device, which begins when the lane is free."""
        begins = max(self.free_at[lane], int(start))
        self.free_at[lane] = begins + int(duration)
        self.events.append(Event(lane, 0, begins, int(duration), name, kind, *of))


def gpu_window(step: int = 500, time: float = 0.0, *, scale: float = 1.0, **facts: Any) -> ProfilerWindow:
    """A window of three steps on one GPU with three streams; `scale` stretches its kernels."""
    made = Timeline()
    for number in range(STEPS):
        _gpu_step(made, number, scale)
    events = made.events
    total_ns = max(event.start + event.duration for event in events)
    tables: dict[str, Table] = {
        "kernels": _kernels(events),
        "operators": _operators(events),
        "links": _links(events),
        "copies": _copies(events),
        "breakdown": _breakdown(events, total_ns),
        "launches": _columns(
            ("call", "calls", "host_seconds", "kernels", "mean_latency_seconds", "longest_latency_seconds"),
            [
                ("cudaLaunchKernel", 78, 0.00043, 78, 0.000021, 0.00019),
                ("cudaMemcpyAsync", 6, 0.00009, 6, 0.00003, 0.00005),
            ],
        ),
        "collectives": _columns(
            ("name", "calls", "seconds", "exposed_seconds", "bytes", "group"),
            [("ncclDevKernel_AllReduce_Sum_bf16_RING_LL", STEPS, 0.0042, 0.0011, 3 * 25_000_000, "default_pg")],
        ),
        "idle": _columns(
            ("device", "stream", "cause", "gaps", "seconds"),
            [
                (0, 7, "host wait", 9, 0.0061),
                (0, 7, "launch latency", 31, 0.0007),
                (0, 7, "other", 4, 0.0002),
                (0, 20, "other", 2, 0.0180),
            ],
        ),
        "gaps": _columns(
            ("device", "stream", "start_ns", "seconds", "cause", "before", "after", "operator"),
            [
                (0, 7, 11_000_000, 0.0031, "host wait", KERNELS["aten::addmm"][0], "Memcpy HtoD", "aten::copy_"),
                (0, 7, 4_000_000, 0.0002, "launch latency", "Memcpy HtoD", KERNELS["aten::convolution"][0], ""),
            ],
        ),
        "steps": _columns(
            ("number", "start_ns", "seconds", "device_seconds"),
            [(step + n, n * STEP_NS, STEP_NS / 1e9, 0.0071) for n in range(STEPS)],
        ),
        "phases": _columns(
            ("phase", "seconds", "device_seconds"),
            [(name, STEPS * ms / 1e3, 0.6 * STEPS * ms / 1e3) for name, ms in PHASE_MS.items()],
        ),
        "overheads": _columns(("name", "calls", "seconds"), [("CUPTI buffer flush", 2, 0.0004)]),
        **_slices(events, LANES),
    }
    rows = _rows("operator", tables["operators"], "self_seconds", "total_seconds")
    rows += _rows("kernel", tables["kernels"], "seconds", "seconds")
    told = {
        "device": "cuda",
        "slowdown": 1.18,
        "source": "window",
        "quality": {
            "launches": 78, "launches_with_kernel": 78, "clipped": 0, "graph_kernels": 0, "dropped_slices": 0,
            "unlinked_kernels": 0,
        },
        "cost": {"start_seconds": 0.012, "stop_seconds": 0.041, "read_seconds": 0.006, "events": len(events)},
        "overlap_percent": 73.8,
        "missing": {},
        **facts,
    }  # fmt: skip
    return ProfilerWindow(step, time, STEPS, total_ns / 1e9, told, rows, tables=tables)


def cpu_window(step: int = 500, time: float = 0.0, **facts: Any) -> ProfilerWindow:
    """A window on a processor: no kernels, no streams, and the reasons."""
    made = Timeline()
    for number in range(STEPS):
        at = number * STEP_NS
        made.host(MAIN, 0, at, STEP_NS, f"ProfilerStep#{step + number}", ANNOTATION)
        for place, module in enumerate(MODULES):
            start = at + 1e6 + place * 6e5
            made.host(MAIN, 1, start, 5.6e5, f"nn.Module: {module}", ANNOTATION)
            made.host(MAIN, 2, start + 1e4, 5.2e5, "aten::conv2d" if "conv" in module else "aten::linear")
            made.host(MAIN, 3, start + 3e4, 4.6e5, "aten::mkldnn_convolution" if "conv" in module else "aten::addmm")
    why = "no GPU took part in this window"
    absent = ("kernels", "copies", "idle", "gaps", "collectives", "launches", "breakdown")
    links = [
        ("forward", module, "aten::mkldnn_convolution" if "conv" in module else "aten::addmm", "", STEPS, 0.00046 * 3)
        for module in MODULES
    ]
    tables: dict[str, Table] = {
        "operators": _operators(made.events),
        "links": _columns(("phase", "module", "operator", "kernel", "calls", "seconds"), links),
        "steps": _columns(
            ("number", "start_ns", "seconds", "device_seconds"),
            [(step + n, n * STEP_NS, STEP_NS / 1e9, 0.0) for n in range(STEPS)],
        ),
        "phases": _columns(
            ("phase", "seconds", "device_seconds"), [(name, STEPS * ms / 1e3, 0.0) for name, ms in PHASE_MS.items()]
        ),
        **_slices(made.events, LANES[:2]),
    }
    told = {
        "device": "cpu",
        "slowdown": 1.62,
        "source": "window",
        "quality": {"launches": 0, "launches_with_kernel": 0, "clipped": 3, "dropped_slices": 0},
        "cost": {"start_seconds": 0.001, "stop_seconds": 0.004, "read_seconds": 0.001, "events": len(made.events)},
        "missing": dict.fromkeys(absent, why),
        **facts,
    }
    rows = _rows("operator", tables["operators"], "self_seconds", "total_seconds")
    return ProfilerWindow(step, time, STEPS, STEPS * STEP_NS / 1e9, told, rows, tables=tables)


def long_window(slices: int, step: int = 500, time: float = 0.0) -> ProfilerWindow:
    """A window of so many slices: two nested threads and three streams, a second long."""
    generator = np.random.default_rng(0)
    per_lane = slices // 5
    lane, depth, start, duration, name, kind = [], [], [], [], [], []
    names = [f"aten::operator_{place}" for place in range(40)]
    names += [f"void kernel_{place}<float, {place}>(float*, int)" for place in range(60)]
    for which in range(5):
        edges = np.sort(generator.choice(1_000_000_000, 2 * per_lane, replace=False))
        rows = per_lane if which > 1 else per_lane // 2
        every = 2 * per_lane // rows
        begin, end = edges[::every], edges[1::every]
        lane += [np.full(len(begin), which)]
        depth += [np.zeros(len(begin), np.int64)]
        start += [begin]
        duration += [end - begin]
        name += [generator.integers(0, 40, len(begin)) + (40 if which > 1 else 0)]
        kind += [np.full(len(begin), KERNEL if which > 1 else OPERATOR)]
        if which < 2:  # a child inside every operator
            lane += [np.full(len(begin), which)]
            depth += [np.ones(len(begin), np.int64)]
            start += [begin + (end - begin) // 4]
            duration += [(end - begin) // 2]
            name += [generator.integers(0, 40, len(begin))]
            kind += [np.full(len(begin), RUNTIME)]
    columns = [np.concatenate(column) for column in (lane, depth, start, duration, name, kind)]
    order = np.argsort(columns[2], kind="stable")
    tables = _slice_tables(LANES, [column[order] for column in columns], names)
    return ProfilerWindow(step, time, 3, 1.0, {"device": "cuda", "source": "trace", "missing": {}}, (), tables=tables)


def record_profiled_run(
    store: Store,
    name: str = "profiled",
    *,
    windows: Sequence[ProfilerWindow] | None = None,
    steps: int = 600,
    ranks: int = 1,
    gpu: bool = True,
    end: bool = True,
) -> Run:
    """A run with every phase and the series of work done, and windows (of a GPU, unless told otherwise)."""
    run = store.start_run(name, {"model": "resnet50"}, host="example-host", pid=4242)
    given = windows if windows is not None else (gpu_window(250), gpu_window(500, slowdown=1.2))
    for rank in range(ranks):
        generator = np.random.default_rng(rank)
        rows = list(_phase_blocks(run.created_at, steps, generator, slower=1 + 0.2 * rank, gpu=gpu))
        facts = [Fact(rank, "phases", {"clock": "cuda" if gpu else "host", "device": "cuda:0" if gpu else "cpu"}, 0.0)]
        if gpu:
            facts += [Fact(rank, "work", WORK, 0.0)]
        else:
            facts += [Fact(rank, "missing/work/mfu_percent", "no peak is known for this processor", 0.0)]
        store.write(run.id, rank, Batch(rows=rows, windows=list(given) if rank == 0 else [], facts=facts))
    if end:
        store.end_run(run.id, "finished")
    return store.run(run.id)


def _phase_blocks(
    start: float, steps: int, generator: np.random.Generator, *, slower: float, gpu: bool
) -> Iterable[RowBlock]:
    at = np.arange(1, steps + 1)
    times = start + at * STEP_NS / 1e9
    total = np.zeros(steps)
    for phase, milliseconds in PHASE_MS.items():
        values = milliseconds / 1e3 * generator.lognormal(0, 0.08, steps) * slower
        if phase == "data":
            values[at % 97 == 0] *= 6
        total += values
        yield RowBlock.of_series(f"phase/{phase}", "phase", "s", at, times, values)
    yield RowBlock.of_series("phase/step", "phase", "s", at, times, total)
    yield RowBlock.of_series("work/samples_per_second", "work", "", at, times, 256 / total)
    if gpu:
        yield RowBlock.of_series("work/mfu_percent", "work", "%", at, times, 100 * 0.0035 / total)
        yield RowBlock.of_series("work/host_bound_percent", "work", "%", at, times, np.clip(40 + 1e3 * total, 0, 100))


def _gpu_step(made: Timeline, number: int, scale: float) -> None:
    at = number * STEP_NS
    made.host(MAIN, 0, at, STEP_NS - 1000, f"ProfilerStep#{number}", ANNOTATION)
    made.host(MAIN, 1, at + 1e5, 1.8e6, "enumerate(DataLoader)#_MultiProcessingDataLoaderIter.__next__", ANNOTATION)
    made.host(MAIN, 1, at + 2e6, 5e5, "aten::to")
    made.host(MAIN, 2, at + 2.05e6, 4e5, "aten::copy_")
    made.host(MAIN, 3, at + 2.1e6, 3e5, "cudaMemcpyAsync", RUNTIME)
    pageable = "Memcpy HtoD (Pageable -> Device)"
    made.launch(COPIES, at + 2.2e6, 6e5 * scale, pageable, COPY, "to_device", "", "aten::copy_")
    for place, module in enumerate(MODULES):
        operator = "aten::convolution" if "conv" in module else "aten::addmm"
        if "bn" in module:
            operator = "aten::native_batch_norm"
        start = at + 2.8e6 + place * 2.2e5
        made.host(MAIN, 1, start, 2e5, f"nn.Module: {module}", ANNOTATION)
        made.host(MAIN, 2, start + 2e4, 1.5e5, operator)
        made.host(MAIN, 3, start + 9e4, 8e3, "cudaLaunchKernel", RUNTIME)
        kernel, _ = KERNELS[operator]
        made.launch(COMPUTE, start + 1e5, 3e5 * scale, kernel, KERNEL, "forward", module, operator)
    for place, module in enumerate(reversed(MODULES)):
        operator = "aten::convolution_backward" if "conv" in module else "aten::addmm"
        start = at + 5e6 + place * 3e5
        made.host(BACKWARD, 0, start, 2.6e5, f"autograd::engine::evaluate_function: {operator}")
        made.host(BACKWARD, 1, start + 2e4, 2e5, operator)
        made.host(BACKWARD, 2, start + 5e4, 9e3, "cudaLaunchKernel", RUNTIME)
        made.launch(COMPUTE, start + 1e5, 4e5 * scale, KERNELS[operator][0], KERNEL, "backward", module, operator)
    nccl = "ncclDevKernel_AllReduce_Sum_bf16_RING_LL"
    made.launch(NCCL, at + 6.6e6, 1.4e6, nccl, KERNEL, "gradient_sync", "", "nccl:all_reduce")
    made.host(MAIN, 1, at + 8e6, 8e5, "Optimizer.step#SGD.step", ANNOTATION)
    made.host(MAIN, 2, at + 8.1e6, 3e5, "aten::_foreach_add_")
    kernel, _ = KERNELS["aten::_foreach_add_"]
    made.launch(COMPUTE, at + 8.3e6, 5e5 * scale, kernel, KERNEL, "optimizer", "", "aten::_foreach_add_")
    made.host(MAIN, 1, at + 9e6, 1e6, "cudaDeviceSynchronize", SYNC)


def _grouped(events: Iterable[Event], key: Callable[[Event], tuple[Any, ...]]) -> dict[tuple[Any, ...], list[Event]]:
    groups: dict[tuple[Any, ...], list[Event]] = {}
    for event in events:
        groups.setdefault(key(event), []).append(event)
    return groups


def _kernels(events: Sequence[Event]) -> Table:
    rows = []
    tensor = dict(KERNELS.values())
    for (name,), found in _grouped((e for e in events if e.kind == KERNEL), lambda e: (e.name,)).items():
        seconds = [event.duration / 1e9 for event in found]
        core = tensor.get(name, False)
        rows.append((name, 0, len(found), sum(seconds), min(seconds), max(seconds), 2.4, 88.0, 46.0, core, core))
    names = ("name", "device", "calls", "seconds", "shortest_seconds", "longest_seconds", "blocks_per_sm",
             "sm_efficiency_percent", "occupancy_percent", "tensor_core", "eligible")  # fmt: skip
    return _columns(names, rows)


def _operators(events: Sequence[Event]) -> Table:
    device: dict[str, float] = {}
    for event in events:
        if event.kind >= KERNEL:
            device[event.operator] = device.get(event.operator, 0.0) + event.duration / 1e9
    rows = []
    for (name,), found in _grouped((e for e in events if e.kind == OPERATOR), lambda e: (e.name,)).items():
        seconds = sum(event.duration for event in found) / 1e9
        rows.append((name, len(found), 0.7 * seconds, seconds, device.get(name, 0.0), device.get(name, 0.0)))
    names = ("name", "calls", "self_seconds", "total_seconds", "device_self_seconds", "device_total_seconds")
    return _columns(names, rows)


def _links(events: Sequence[Event]) -> Table:
    work = (event for event in events if event.kind == KERNEL)
    groups = _grouped(work, lambda e: (e.phase, e.module or "(no module)", e.operator, e.name))
    rows = [(*key, len(found), sum(e.duration for e in found) / 1e9) for key, found in groups.items()]
    rows += [(*key[:3], "", len(found), 1e-4 * len(found)) for key, found in groups.items()]
    return _columns(("phase", "module", "operator", "kernel", "calls", "seconds"), rows)


def _copies(events: Sequence[Event]) -> Table:
    found = [event for event in events if event.kind == COPY]
    seconds = sum(event.duration for event in found) / 1e9
    rows = [
        ("HtoD", "Pageable -> Device", True, len(found), 38_535_168 * len(found), seconds),
        ("DtoH", "Device -> Pinned", False, 3, 12, 4.2e-6),
    ]
    return _columns(("kind", "memory", "pageable", "calls", "bytes", "seconds"), rows)


def _breakdown(events: Sequence[Event], total_ns: int) -> Table:
    """Every nanosecond once: to computing first, then to communication, then to copies, else to nothing."""
    share = np.zeros(total_ns // 1000, np.int8)
    for event in events:
        if event.kind >= KERNEL:
            weight = 1 if event.kind == COPY else 2 if event.name.startswith("nccl") else 3
            part = share[event.start // 1000 : (event.start + event.duration) // 1000]
            np.maximum(part, weight, out=part)
    idle, copies, communication, compute = (float((share == weight).sum()) * 1e-6 for weight in range(4))
    names = ("device", "total_seconds", "compute_seconds", "exposed_communication_seconds", "exposed_copies_seconds",
             "idle_seconds")  # fmt: skip
    return _columns(names, [(0, len(share) * 1e-6, compute, communication, copies, idle)])


def _slices(events: Sequence[Event], lanes: Sequence[tuple[str, int, int]]) -> dict[str, Table]:
    ordered = sorted(events, key=lambda event: event.start)
    names = sorted({event.name for event in ordered})
    place = {name: index for index, name in enumerate(names)}
    told = [(e.lane, e.depth, e.start, e.duration, place[e.name], e.kind) for e in ordered]
    columns = [np.array(column) for column in zip(*told, strict=True)]
    return _slice_tables(lanes, columns, names)


def _slice_tables(
    lanes: Sequence[tuple[str, int, int]], columns: Sequence[npt.NDArray[Any]], names: Sequence[str]
) -> dict[str, Table]:
    lane, depth, start, duration, name, kind = columns
    return {
        "slices": {
            "lane": lane.astype(np.int32),
            "depth": depth.astype(np.int16),
            "start_ns": start.astype(np.int64),
            "duration_ns": duration.astype(np.int64),
            "name": name.astype(np.int32),
            "kind": kind.astype(np.int8),
            "clipped": np.zeros(len(lane), bool),
        },
        "lanes": _columns(("title", "device", "lane"), lanes),
        "slice_names": {"name": np.array(names)},
    }


def _columns(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> Table:
    return {name: np.array([row[place] for row in rows]) for place, name in enumerate(names)}


def _rows(kind: Any, table: Table, own: str, total: str) -> tuple[ProfilerRow, ...]:
    columns = (table["name"], table["calls"], table[own], table[total])
    return tuple(
        ProfilerRow(kind, str(name), int(calls), float(own_seconds), float(total_seconds))
        for name, calls, own_seconds, total_seconds in zip(*columns, strict=True)
    )
