"""The series that a run records by itself, beside those of its devices."""

from __future__ import annotations

from definition import Definition

STEP = "each step"
NORMS = "the step, every 100 steps"
SPLIT = "the moment before the optimizer's step, every 100 steps"
LOOK = "the moment of the look, every 200 steps"
HOOKS = "`instrumentation/step_rows.py`"
NO_OPTIMIZER = "attached without an optimizer"
NOT_SAMPLED = "recorded with `every=None`; a frozen parameter"
NOT_ASKED = "recorded without `activations=True`; a compiled module"
OUTPUTS = "the step, every 100 steps"
NO_ALLOCATOR = "the model is not on a CUDA device"
NO_PROBES = "attached without `probes`"

OWN = (
    Definition(
        "learning_rate",
        "`lr` of the optimizer's first parameter group, as the step used it",
        "",
        STEP,
        NO_OPTIMIZER,
        HOOKS,
    ),
    Definition("learning_rate/group*", "the same of the other groups, from group 1", "", STEP, NO_OPTIMIZER, HOOKS),
    Definition(
        "skipped_step",
        "1 at a step of a fused optimizer whose gradients were not finite, so that it moved nothing",
        "",
        STEP,
        "no such step; a scaler that does not call the optimizer at all",
        HOOKS,
    ),
    Definition(
        "work/micro_steps",
        "training forwards in the step: more than 1 where gradients are accumulated",
        "",
        STEP,
        "",
        HOOKS,
    ),
    Definition(
        "work/samples_per_second",
        "first dimension of the forwards' first tensors, summed, over the time since the step before ended",
        "1/s",
        STEP,
        "the first step; an input without a tensor",
        "`instrumentation/work/meter.py`",
    ),
    Definition(
        "work/flops_per_step",
        "multiplications and additions (two for each of a product's) of the step's forwards and backwards, counted "
        "once for each shape on a copy without values",
        "FLOP",
        STEP,
        "a shape that could not be counted; the fact `missing/work/flops` says why",
        "`instrumentation/work/flops.py`",
    ),
    Definition(
        "work/mfu_percent",
        "model FLOP utilisation: 100 × the time that those FLOPs take at the device's peak for their number formats / "
        "the time of the step",
        "%",
        STEP,
        "a device whose peak is not in the table of `instrumentation/work/peaks.py`, a CPU among them",
        "`instrumentation/work/meter.py`",
    ),
    Definition(
        "work/host_bound_percent",
        "100 × the boundaries of phases at which the device had nothing left to do by the time the host got there, "
        "over "
        "all boundaries of the step",
        "%",
        STEP,
        "the model is not on a CUDA device",
        "`instrumentation/device_phases.py`",
    ),
)

LAYERS = (
    Definition(
        "layers/*/gradient_norm",
        "Euclidean norm of the parameter's gradient as the optimizer got it, a scaler's scale divided out",
        "",
        NORMS,
        f"{NOT_SAMPLED}, or one without a gradient",
        "`instrumentation/layers/norms.py`",
    ),
    Definition(
        "layers/*/weight_norm",
        "Euclidean norm of the parameter after the step",
        "",
        NORMS,
        NOT_SAMPLED,
        "`instrumentation/layers/norms.py`",
    ),
    Definition(
        "layers/*/update_ratio",
        "|w after − w before| / |w before|: 0.001 is a healthy order of magnitude",
        "",
        NORMS,
        f"{NOT_SAMPLED}, or one that was all zeros",
        "`instrumentation/layers/norms.py`",
    ),
    Definition(
        "layers/*/dead_percent",
        "100 × units (channels of a convolution, features of a linear layer) that the module returned as zero for "
        "every sample of the step, over all its units",
        "%",
        OUTPUTS,
        NOT_ASKED,
        "`instrumentation/activations.py`",
    ),
    Definition(
        "layers/*/zero_percent",
        "100 × zeros among the numbers that the module returned",
        "%",
        OUTPUTS,
        NOT_ASKED,
        "`instrumentation/activations.py`",
    ),
    Definition(
        "layers/*/activation_mean",
        "mean of the numbers that the module returned",
        "",
        OUTPUTS,
        NOT_ASKED,
        "`instrumentation/activations.py`",
    ),
    Definition(
        "layers/*/activation_std",
        "standard deviation of the numbers that the module returned",
        "",
        OUTPUTS,
        NOT_ASKED,
        "`instrumentation/activations.py`",
    ),
)

# What `instrumentation/memory/meanings.py` explains already is not said again.
MEMORY = (
    Definition(
        "memory/allocated_bytes",
        "bytes in tensors: `torch.cuda.memory_allocated()`",
        "B",
        "the end of each step",
        NO_ALLOCATOR,
        "`instrumentation/memory/allocator.py`",
    ),
    Definition(
        "memory/reserved_bytes",
        "bytes that the allocator has taken from the device: `torch.cuda.memory_reserved()`",
        "B",
        "the end of each step",
        NO_ALLOCATOR,
        "`instrumentation/memory/allocator.py`",
    ),
    Definition(
        "memory/peak_bytes", "", "B", "since the process began", NO_ALLOCATOR, "`instrumentation/memory/allocator.py`"
    ),
    Definition(
        "memory/step_peak_bytes",
        "",
        "B",
        "the step",
        "a step that did not raise the mark; not CUDA",
        "`instrumentation/memory/meter.py`",
    ),
    Definition(
        "memory/fragmentation_bytes",
        "",
        "B",
        "the end of each step",
        NO_ALLOCATOR,
        "`instrumentation/memory/meter.py`",
    ),
    Definition(
        "memory/process_bytes",
        "",
        "B",
        "the end of a step, 0.1 s apart at least",
        "the model is on a CUDA device",
        "`instrumentation/memory/process.py`",
    ),
    Definition(
        "memory/parameters_bytes",
        "storage of the model's parameters, what is shared counted once",
        "B",
        SPLIT,
        "a tensor whose storage cannot be read",
        "`instrumentation/memory/split.py`",
    ),
    Definition(
        "memory/gradients_bytes",
        "storage of the parameters' gradients",
        "B",
        SPLIT,
        "no optimizer's step was seen and none was left at the step's end",
        "`instrumentation/memory/split.py`",
    ),
    Definition(
        "memory/optimizer_bytes",
        "storage of the tensors in the optimizers' state",
        "B",
        SPLIT,
        NO_OPTIMIZER,
        "`instrumentation/memory/split.py`",
    ),
    Definition(
        "memory/buffers_bytes",
        "storage of the model's buffers, such as the running means of batch norm",
        "B",
        SPLIT,
        "",
        "`instrumentation/memory/split.py`",
    ),
    Definition("memory/activations_bytes", "", "B", SPLIT, NO_ALLOCATOR, "`instrumentation/memory/meter.py`"),
    Definition(
        "memory/allocator_retries",
        "times that the allocator gave its cache back to find room",
        "",
        "since the process began, told when it rises",
        "it never did",
        "`instrumentation/memory/allocator.py`",
    ),
    Definition(
        "memory/allocator_failures",
        "times that it found no room even so: out of memory",
        "",
        "since the process began, told when it rises",
        "it never did",
        "`instrumentation/memory/allocator.py`",
    ),
)

OURSELVES = (
    Definition(
        "torchglass/hook_seconds",
        "time that the training thread spent in torchglass: what recording costs",
        "s",
        STEP,
        "",
        HOOKS,
    ),
    Definition(
        "torchglass/dropped_records",
        "records that were lost, because the store could not keep up and the 100 MB that may wait were full",
        "",
        "since the run began, told when it rises",
        "nothing was lost",
        "`instrumentation/writer.py`",
    ),
)

# Of each method that explains the probes; the definitions are the docstrings of `explainers/probing/figures.py`.
PROBES = (
    Definition(
        "explanation/*/drift",
        "figures.drift",
        "",
        "from the look before to this one, mean of the probes",
        f"{NO_PROBES}; the first look; the explained class changed",
        "`explainers/probing/figures.py`",
    ),
    Definition(
        "explanation/*/size",
        "figures.size",
        "score",
        f"{LOOK}, mean of the probes",
        NO_PROBES,
        "`explainers/probing/figures.py`",
    ),
    Definition(
        "explanation/*/entropy",
        "figures.entropy",
        "",
        f"{LOOK}, mean of the probes",
        f"{NO_PROBES}; an empty map",
        "`explainers/probing/figures.py`",
    ),
    Definition(
        "explanation/*/truth_share",
        "figures.truth_share",
        "",
        f"{LOOK}, mean of the probes",
        "probes without `truth`; nothing speaks for the class",
        "`explainers/probing/figures.py`",
    ),
    Definition(
        "explanation/*/completeness_error",
        "worst |sum of the attributions − (output − base value)| of the probes, over that difference",
        "",
        LOOK,
        "a method that does not promise to add up",
        "`explainers/probing/looks.py`",
    ),
)
