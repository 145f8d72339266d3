"""A run's configuration, as the hparams plugin of TensorBoard keeps it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from google.protobuf import json_format
from tensorboard.compat.proto import summary_pb2, tensor_pb2, tensor_shape_pb2, types_pb2
from tensorboard.plugins.hparams import api_pb2, plugin_data_pb2

from torchglass.store import RunStatus

PLUGIN = "hparams"
_START_TAG = "_hparams_/session_start_info"
_END_TAG = "_hparams_/session_end_info"
_LARGEST_WHOLE = 2.0**53  # beyond it a float64 skips whole numbers

_STATUS_OF: dict[int, RunStatus] = {
    api_pb2.STATUS_SUCCESS: "finished",
    api_pb2.STATUS_FAILURE: "failed",
}
_CODE_OF: dict[RunStatus, int] = {
    "finished": api_pb2.STATUS_SUCCESS,
    "failed": api_pb2.STATUS_FAILURE,
    "interrupted": api_pb2.STATUS_FAILURE,
    "lost": api_pb2.STATUS_UNKNOWN,
    "running": api_pb2.STATUS_RUNNING,
}


def read_session(content: bytes) -> tuple[dict[str, Any], RunStatus | None]:
    """Return the hyper-parameters that a session states, and how it ended; nothing and None where it does not say.

    Raises:
        google.protobuf.message.DecodeError: the content is of another plugin.
    """
    data = plugin_data_pb2.HParamsPluginData.FromString(content)
    stated = {name: _plain(value) for name, value in data.session_start_info.hparams.items()}
    ended = data.HasField("session_end_info")
    return stated, _STATUS_OF.get(data.session_end_info.status) if ended else None


def _plain(value: Any) -> Any:
    if value.WhichOneof("kind") != "number_value":
        return json_format.MessageToDict(value)
    number = float(value.number_value)
    # The plugin knows no integers: a batch size of 64.0 was one.
    return int(number) if number.is_integer() and abs(number) < _LARGEST_WHOLE else number


def session_start(config: Mapping[str, Any], started_at: float) -> Any:
    """Return the summary value that states a run's configuration; what is nested becomes JSON."""
    info = plugin_data_pb2.SessionStartInfo(start_time_secs=started_at)
    for name, value in config.items():
        if isinstance(value, bool):
            info.hparams[name].bool_value = value
        elif isinstance(value, float) or (isinstance(value, int) and abs(value) <= _LARGEST_WHOLE):
            info.hparams[name].number_value = value
        else:
            info.hparams[name].string_value = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return _value(_START_TAG, plugin_data_pb2.HParamsPluginData(session_start_info=info))


def session_end(status: RunStatus, ended_at: float) -> Any:
    """Return the summary value that states how a run ended."""
    info = plugin_data_pb2.SessionEndInfo(status=_CODE_OF[status], end_time_secs=ended_at)
    return _value(_END_TAG, plugin_data_pb2.HParamsPluginData(session_end_info=info))


def _value(tag: str, data: Any) -> Any:
    about = summary_pb2.SummaryMetadata.PluginData(plugin_name=PLUGIN, content=data.SerializeToString())
    no_tensor = tensor_pb2.TensorProto(
        dtype=types_pb2.DT_FLOAT,
        tensor_shape=tensor_shape_pb2.TensorShapeProto(dim=[tensor_shape_pb2.TensorShapeProto.Dim(size=0)]),
    )
    metadata = summary_pb2.SummaryMetadata(plugin_data=about)
    return summary_pb2.Summary.Value(tag=tag, metadata=metadata, tensor=no_tensor)
