"""Numbers and strings out of a TensorProto, without TensorFlow."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from tensorboard.compat.proto import types_pb2

MAX_ELEMENTS = 1 << 24  # a summary is not a data set: what claims more is not believed


class _Encoding(NamedTuple):
    dtype: str
    field: str


_ENCODINGS = {
    types_pb2.DT_FLOAT: _Encoding("<f4", "float_val"),
    types_pb2.DT_DOUBLE: _Encoding("<f8", "double_val"),
    types_pb2.DT_HALF: _Encoding("<f2", "half_val"),
    types_pb2.DT_BFLOAT16: _Encoding("<u2", "half_val"),
    types_pb2.DT_INT8: _Encoding("<i1", "int_val"),
    types_pb2.DT_INT16: _Encoding("<i2", "int_val"),
    types_pb2.DT_INT32: _Encoding("<i4", "int_val"),
    types_pb2.DT_INT64: _Encoding("<i8", "int64_val"),
    types_pb2.DT_UINT8: _Encoding("<u1", "int_val"),
    types_pb2.DT_UINT16: _Encoding("<u2", "int_val"),
    types_pb2.DT_UINT32: _Encoding("<u4", "uint32_val"),
    types_pb2.DT_UINT64: _Encoding("<u8", "uint64_val"),
    types_pb2.DT_BOOL: _Encoding("?", "bool_val"),
}


def numbers(tensor: Any) -> npt.NDArray[np.float64] | None:
    """Return the tensor's numbers in its own shape; None where it holds none, or not as many as it says.

    float16, bfloat16 and float32 become float64 exactly, and so do integers up to 2^53.
    """
    encoding = _ENCODINGS.get(tensor.dtype)
    if encoding is None:
        return None
    shape = tuple(int(axis.size) for axis in tensor.tensor_shape.dim)
    size = math.prod(shape)
    if min(shape, default=0) < 0 or size > MAX_ELEMENTS:
        return None
    flat = _flat(tensor, encoding)
    if flat is None:
        return None
    if tensor.dtype == types_pb2.DT_BFLOAT16:
        flat = (flat.astype(np.uint32) << np.uint32(16)).view(np.float32)  # the upper half of a float32
    if flat.size == 1:
        flat = np.broadcast_to(flat, (size,))  # the format's short form for a constant
    return flat.astype(np.float64).reshape(shape) if flat.size == size else None


def _flat(tensor: Any, encoding: _Encoding) -> npt.NDArray[Any] | None:
    dtype = np.dtype(encoding.dtype)
    if tensor.tensor_content:
        content: bytes = tensor.tensor_content
        return np.frombuffer(content, dtype) if len(content) % dtype.itemsize == 0 else None
    listed = getattr(tensor, encoding.field)
    if encoding.field == "half_val":
        return np.fromiter(listed, np.uint16, len(listed)).view(dtype)  # bit patterns, not values
    return np.fromiter(listed, dtype, len(listed))


def strings(tensor: Any) -> list[bytes] | None:
    """Return the tensor's strings in order; None where it holds something else."""
    return list(tensor.string_val) if tensor.dtype == types_pb2.DT_STRING else None
