"""GPM, the performance monitor of Hopper and later GPUs: what their multiprocessors, tensor cores and memory did.

It needs no root and takes no lock of the profilers, so it runs beside CUPTI, Nsight and DCGM.
`nvidia-smi dmon --gpm-metrics=2,3,5,10` prints the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from torchglass.instrumentation.devices.driver import Driver, RefusedError
from torchglass.instrumentation.devices.reading import Reading

SHORTEST_SECONDS = 0.1  # NVIDIA asks for two samples more than 100 ms apart
MEBIBYTE = 2.0**20
# Key -> NVML_GPM_METRIC_..., and what to multiply it by. The rates stand in where the byte counters are refused.
METRICS: Mapping[str, tuple[str, float]] = {
    "sm_activity_percent": ("SM_UTIL", 1.0),
    "sm_occupancy_percent": ("SM_OCCUPANCY", 1.0),
    "tensor_activity_percent": ("ANY_TENSOR_UTIL", 1.0),
    "dram_bandwidth_percent": ("DRAM_BW_UTIL", 1.0),
    "pcie_received_bytes_per_second": ("PCIE_RX_PER_SEC", MEBIBYTE),
    "pcie_sent_bytes_per_second": ("PCIE_TX_PER_SEC", MEBIBYTE),
    "nvlink_received_bytes_per_second": ("NVLINK_TOTAL_RX_PER_SEC", MEBIBYTE),
    "nvlink_sent_bytes_per_second": ("NVLINK_TOTAL_TX_PER_SEC", MEBIBYTE),
}
ACTIVITY = tuple(key for key, (_, factor) in METRICS.items() if factor == 1.0)
UNSUPPORTED = "needs GPM, which GPUs from Hopper on have (NVML: not a supported device)"


class Gpm:
    """Two samples of one GPU, or of one MIG instance, taken in turn: each reading is about the time between them."""

    def __init__(self, driver: Driver, handle: Any, take: Callable[[Any], object], clock: Callable[[], float]) -> None:
        self._driver = driver
        self._take = take
        self._clock = clock
        self._samples: list[Any] = []
        self._earlier_at: float | None = None
        self._reason: str | None = None
        try:
            if not driver.ask("nvmlGpmQueryDeviceSupport", handle).isSupportedDevice:
                self._reason = UNSUPPORTED
                return
            self._metrics = driver.constant("c_nvmlGpmMetricsGet_t")()
            self._metrics.version = driver.constant("NVML_GPM_METRICS_GET_VERSION")
            self._metrics.numMetrics = len(METRICS)
            for metric, (name, _) in zip(self._metrics.metrics, METRICS.values(), strict=False):
                metric.metricId = driver.constant(f"NVML_GPM_METRIC_{name}")
            for _ in range(2):
                self._samples.append(driver.ask("nvmlGpmSampleAlloc"))
        except RefusedError as refusal:
            self._reason = str(refusal)

    def close(self) -> None:
        """Give the samples back."""
        while self._samples:
            try:
                self._driver.ask("nvmlGpmSampleFree", self._samples.pop())
            except RefusedError:
                self._samples.clear()  # the library is gone, and with it what it had allocated

    def read(self) -> Reading:
        """The averages since the reading before; nothing yet at the first, and within 100 ms of one.

        Raises:
            RefusedError: the device is gone.
        """
        if self._reason is not None:
            return _missing(self._reason)
        when = self._clock()
        if self._earlier_at is not None and when - self._earlier_at <= SHORTEST_SECONDS:
            return Reading()
        try:
            self._take(self._samples[1])
            reading = self._since_earlier() if self._earlier_at is not None else Reading()
        except RefusedError as refusal:
            self._earlier_at = None
            if refusal.is_gone:
                raise
            return _missing(str(refusal))
        self._samples.reverse()
        self._earlier_at = when
        return reading

    def _since_earlier(self) -> Reading:
        self._metrics.sample1, self._metrics.sample2 = self._samples
        self._driver.ask("nvmlGpmMetricsGet", self._metrics)
        values: dict[str, float] = {}
        missing: dict[str, str] = {}
        for metric, (key, (_, factor)) in zip(self._metrics.metrics, METRICS.items(), strict=False):
            if metric.nvmlReturn:
                missing[key] = self._driver.words_of(metric.nvmlReturn)
            elif not math.isfinite(metric.value):
                missing[key] = "GPM returned no number"
            else:
                values[key] = float(metric.value) * factor
        return Reading(values, {key: reason for key, reason in missing.items() if key in ACTIVITY})


def _missing(reason: str) -> Reading:
    return Reading({}, dict.fromkeys(ACTIVITY, reason))
