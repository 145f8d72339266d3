"""Which kind of event a trace's category is, by the words of all the profilers that wrote them since 2021."""

from __future__ import annotations

from torchglass.traces.trace import Kind

# In lower case: `Kernel` and `Operator` were written until 2022.
KINDS: dict[str, Kind] = {
    "cpu_op": Kind.OPERATOR,
    "operator": Kind.OPERATOR,
    "user_annotation": Kind.ANNOTATION,
    "cuda_runtime": Kind.RUNTIME,  # HIP's too
    "cuda_driver": Kind.RUNTIME,
    "runtime": Kind.RUNTIME,
    "xpu_runtime": Kind.RUNTIME,
    "xpu_driver": Kind.RUNTIME,
    "mtia_runtime": Kind.RUNTIME,
    "glow_runtime": Kind.RUNTIME,
    "privateuse1_runtime": Kind.RUNTIME,
    "privateuse1_driver": Kind.RUNTIME,
    "hpu_op": Kind.RUNTIME,
    "cuda_sync": Kind.SYNC,
    "xpu_sync": Kind.SYNC,
    "overhead": Kind.OVERHEAD,
    "kernel": Kind.KERNEL,
    "concurrent_kernel": Kind.KERNEL,
    "mtia_ccp_events": Kind.KERNEL,
    "gpu_memcpy": Kind.COPY,
    "memcpy": Kind.COPY,
    "gpu_memset": Kind.FILL,
    "memset": Kind.FILL,
    "gpu_user_annotation": Kind.DEVICE_ANNOTATION,
}
PYTHON = "python_function"
# Another view of what is there already, or no work of the program: left out, and not worth a word.
SILENT = frozenset(("trace", "external_correlation", "cuda_event", "cuda_profiler_range", "ac2g", "fwdbwd"))
# Written as operators in 2021.
MARKS = ("ProfilerStep#", "Optimizer.step#", "Optimizer.zero_grad#", "enumerate(DataLoader)#")
# `FunctionEvent`'s own export of old has no categories; its processes say where an event ran.
PROCESSES: dict[str, Kind] = {"CPU functions": Kind.OPERATOR, "CUDA functions": Kind.KERNEL}

COLLECTIVE = ("nccl", "ncclKernel", "ncclDevKernel", "rccl", "hccl", "record_param_comms")
COLLECTIVE_ARGUMENTS = (
    "Collective name",
    "In msg nelems",
    "Out msg nelems",
    "dtype",
    "Group size",
    "Process Group Name",
    "Process Group Description",
    "Process Group Ranks",
    "Seq",
    "Src Rank",
    "Dst Rank",
)
