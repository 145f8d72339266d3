"""How many floating-point operations an operator does, and which operators are left out by definition.

Formulas are torch's own (`torch.utils.flop_counter`): a multiplication and its addition are two operations, biases are
free. Ours stand beside them where it has none, and in place of one that overcounts: of a convolution in groups it takes
the gradient of the weight as if there were none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any, Literal

import torch
from torch.utils.flop_counter import flop_registry

Standing = Literal["counted", "left out", "moves data", "unsupported"]
DEFINITION = (
    "two operations for each multiplication with its addition, in matrix products, convolutions and attention; "
    "elementwise functions, normalisations, reductions, pooling and biases are left out; attention counts in full, "
    "masked or not; of the loss and the optimizer nothing is counted"
)
_aten = torch.ops.aten


def _convolution_backward(
    gradient: Sequence[int],
    inputs: Sequence[int],
    weight: Sequence[int],
    _bias: Any,
    _stride: Any,
    _padding: Any,
    _dilation: Any,
    transposed: bool,
    _output_padding: Any,
    _groups: int,
    output_mask: Sequence[bool],
    **_: Any,
) -> int:
    """Each of the two gradients takes as many operations as the forward pass."""
    positions = inputs[2:] if transposed else gradient[2:]
    forward = 2 * inputs[0] * prod(positions) * prod(weight)
    return forward * (bool(output_mask[0]) + bool(output_mask[1]))


def _matrix_vector(matrix: Sequence[int], vector: Sequence[int], **_: Any) -> int:
    return 2 * prod(matrix)


def _added_matrix_vector(_added: Any, matrix: Sequence[int], _vector: Any, *_more: Any, **_: Any) -> int:
    return 2 * prod(matrix)


def _dot(one: Sequence[int], _other: Any, **_: Any) -> int:
    return 2 * prod(one)


def _outer(_added: Any, one: Sequence[int], other: Sequence[int], *_more: Any, **_: Any) -> int:
    return 2 * prod(one) * prod(other)


def _summed_products(_added: Any, one: Sequence[int], other: Sequence[int], *_more: Any, **_: Any) -> int:
    return 2 * prod(one) * other[-1]


def _product(one: Sequence[int], other: Sequence[int], *_more: Any, **_: Any) -> int:
    return 2 * prod(one) * other[-1]


_OWN: dict[Any, Callable[..., int]] = {
    _aten.convolution_backward: _convolution_backward,
    _aten.mv: _matrix_vector,
    _aten.addmv: _added_matrix_vector,
    _aten.addmv_: _added_matrix_vector,
    _aten.dot: _dot,
    _aten.vdot: _dot,
    _aten.addr: _outer,
    _aten.addbmm: _summed_products,
    _aten.addmm_: _summed_products,
    _aten.baddbmm_: _summed_products,
    _aten._int_mm: _product,
    _aten._addmm_activation: _summed_products,
}


def flops_of(function: Any, arguments: Sequence[Any], options: dict[str, Any], result: Any) -> int | None:
    """Operations of one call; None where there is no formula."""
    packet = function._overloadpacket
    if (own := _OWN.get(packet)) is not None:
        shapes = [tuple(each.shape) if isinstance(each, torch.Tensor) else each for each in arguments]
        return own(*shapes, **options)
    formula = flop_registry.get(packet)
    return int(formula(*arguments, **options, out_val=result)) if formula is not None else None


def is_product(function: Any) -> bool:
    """Tell whether an operator is of those that autocast lowers: matrix products and convolutions, not in place."""
    packet = function._overloadpacket
    return (packet in _OWN or packet in flop_registry) and not function._schema.is_mutable


def standing_of(function: Any) -> Standing:
    """Say why an operator without a formula is not counted."""
    name = function._schema.name.removeprefix("aten::").removeprefix("_")
    if function.namespace not in ("aten", "prims", "prim"):
        return "unsupported"
    if is_view(function) or name in ("tril", "triu") or name.startswith(_MOVES):
        return "moves data"
    pointwise = torch.Tag.pointwise in function.tags or torch.Tag.nondeterministic_seeded in function.tags
    if pointwise or name.startswith(_LIGHT):
        return "left out"
    return "unsupported"


def is_view(function: Any) -> bool:
    """Tell whether an operator returns what it was given under another shape."""
    aliases = [each.alias_info for each in function._schema.returns]
    return bool(aliases) and all(alias is not None and not alias.is_write for alias in aliases)


# Beginnings of names, without the underscore that some begin with.
_MOVES = (
    *(
        "alias",
        "arange",
        "as_strided",
        "assert",
        "bernoulli",
        "block_diag",
        "cat",
        "channel_shuffle",
        "clone",
        "col2im",
    ),
    *(
        "constant_pad",
        "copy",
        "detach",
        "diag",
        "empty",
        "expand_copy",
        "eye",
        "fill",
        "flip",
        "full",
        "gather",
        "im2col",
    ),
    *(
        "index_put",
        "index_select",
        "lift",
        "linspace",
        "local_scalar",
        "masked_select",
        "narrow_copy",
        "new_",
        "nonzero",
    ),
    *(
        "normal",
        "ones",
        "pad",
        "permute_copy",
        "pixel_",
        "rand",
        "reflection_pad",
        "repeat",
        "replication_pad",
        "resize",
    ),
    *("roll", "scalar_tensor", "scatter", "select", "set", "slice", "split", "stack", "sym_", "to_"),
    *("unbind", "unfold", "uniform", "unsafe_", "view_copy", "zero"),
)
_LIGHT = (
    *("adaptive_", "add", "all", "amax", "amin", "aminmax", "any", "arg", "avg_pool", "batch_norm", "binary_cross"),
    *("bincount", "bucketize", "clamp", "count_nonzero", "ctc_loss", "cudnn_batch_norm", "cum", "elu", "embedding"),
    *("equal", "foreach_", "fused_", "gelu", "glu", "grid_sampler", "hard", "histc", "huber_loss", "index", "isin"),
    *("kthvalue", "l1_loss", "leaky_relu", "linalg_vector_norm", "log", "masked_", "max", "mean", "median", "min"),
    *(
        "miopen_batch_norm",
        "mish",
        "mode",
        "mse_loss",
        "multi_margin",
        "multilabel",
        "nan",
        "native_",
        "nll_loss",
        "norm",
    ),
    *(
        "prelu",
        "prod",
        "put",
        "relu",
        "rms_norm",
        "rrelu",
        "safe_softmax",
        "searchsorted",
        "segment",
        "sigmoid",
        "silu",
    ),
    *("smooth_l1", "soft", "sort", "standard_gamma", "std", "sum", "take", "tanh", "thnn_fused", "threshold", "topk"),
    *("trace", "unique", "upsample", "var", "weight_norm"),
)
