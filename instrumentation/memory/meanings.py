"""What each figure of memory is, and why one is missing: stated with the run, for whoever reads it."""

from __future__ import annotations

MEANINGS = {
    "peak_bytes": (
        "the most that tensors held at a time, since the process began or the program reset torch's own mark: "
        "what torch.cuda.max_memory_allocated() returns"
    ),
    "step_peak_bytes": "the most within the step: known exactly where it raised the mark, and not told elsewhere",
    "fragmentation_bytes": "reserved from the device and in no tensor: cached for later, or in pieces too small to use",
    "activations_bytes": (
        "the highest mark so far less parameters, gradients, optimizer state and buffers, all as the optimizer is "
        "about to step: activations, and whatever else was alive at that peak, such as inputs, temporaries, "
        "communication buffers, other models, and the weights that torchglass copies where norms are sampled on a GPU. "
        "Gradients that did not exist yet at the peak make it too small"
    ),
}
PROCESS_MEANINGS = {"process_bytes": "resident memory of this process, as `ps -o rss` prints it"}
NO_ALLOCATOR = "torch's allocator keeps these figures on CUDA devices alone; this model trains on {device}"
NO_OPTIMIZER = "no optimizer was attached: torchglass.attach(model, optimizer)"
NO_GRADIENTS = "no optimizer's step was seen, and at the end of a step no gradient was left"
NO_ACTIVATIONS = (
    "torch counts no allocations on {device}: activations cannot be told from the rest of the process's memory"
)
