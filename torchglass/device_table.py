"""One reading of host and GPUs as lines for a terminal: a row for each device under the names that dmon gives."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torchglass.terminal import terminal_text

if TYPE_CHECKING:
    from torchglass.instrumentation.devices import Reading

MEGA = 1e6
MISSING, NOT_YET = "N/A", "…"
GAP = "  "
SHOWN_PROCESSES = 5
WRAPPED_BELOW = 40  # columns: a narrower terminal gets long lines rather than a column of letters
BOLD, RED, DIM, PLAIN = "\x1b[1m", "\x1b[31m", "\x1b[2m", "\x1b[0m"


@dataclass(frozen=True)
class Column:
    """A figure's short name, what it is divided by, and the unit that is then printed."""

    name: str
    key: str
    unit: str
    divisor: float = 1.0
    digits: int = 0


# `nvidia-smi dmon -s pucvmet` and its names; then what it lacks.
COLUMNS = (
    Column("pwr", "power_watts", "W"),
    Column("gtemp", "temperature_celsius", "°C"),
    Column("mtemp", "memory_temperature_celsius", "°C"),
    Column("sm", "utilization_percent", "%"),
    Column("mem", "memory_utilization_percent", "%"),
    Column("enc", "encoder_percent", "%"),
    Column("dec", "decoder_percent", "%"),
    Column("jpg", "jpeg_percent", "%"),
    Column("ofa", "optical_flow_percent", "%"),
    Column("mclk", "memory_clock_mhz", "MHz"),
    Column("pclk", "sm_clock_mhz", "MHz"),
    Column("pviol", "power_violation_percent", "%"),
    Column("tviol", "thermal_violation_percent", "%"),
    Column("fb", "memory_used_bytes", "MB", MEGA),
    Column("bar1", "bar1_used_bytes", "MB", MEGA),
    Column("ccpm", "protected_memory_used_bytes", "MB", MEGA),
    Column("sbecc", "single_bit_errors", "errs"),
    Column("dbecc", "double_bit_errors", "errs"),
    Column("pci", "pcie_replays", "errs"),
    Column("rxpci", "pcie_received_bytes_per_second", "MB/s", MEGA),
    Column("txpci", "pcie_sent_bytes_per_second", "MB/s", MEGA),
    Column("smact", "sm_activity_percent", "%"),
    Column("smocc", "sm_occupancy_percent", "%"),
    Column("tensor", "tensor_activity_percent", "%"),
    Column("dram", "dram_bandwidth_percent", "%"),
    Column("rxnvl", "nvlink_received_bytes_per_second", "MB/s", MEGA),
    Column("txnvl", "nvlink_sent_bytes_per_second", "MB/s", MEGA),
)
HOST_COLUMNS = (
    Column("cpu", "cpu_utilization_percent", "%"),
    Column("core", "busiest_core_percent", "%"),
    Column("iowait", "io_wait_percent", "%"),
    Column("used", "memory_used_bytes", "MB", MEGA),
    Column("free", "memory_available_bytes", "MB", MEGA),
    Column("swap", "swap_used_bytes", "MB", MEGA),
    Column("read", "disk_read_bytes_per_second", "MB/s", MEGA, 1),
    Column("written", "disk_written_bytes_per_second", "MB/s", MEGA, 1),
    Column("rxnet", "network_received_bytes_per_second", "MB/s", MEGA, 1),
    Column("txnet", "network_sent_bytes_per_second", "MB/s", MEGA, 1),
)


def lines_of(
    reading: Reading, gpus: Mapping[str, Any], processes: Mapping[str, Any], *, width: int, colors: bool
) -> Iterator[str]:
    """Everything about one reading; `gpus` are the facts of `Gpus`, `width` that of the terminal in characters."""
    yield from _table(reading, {"host": "host"}, HOST_COLUMNS, width, colors)
    names = _names(gpus)
    if gpus.get("reason"):
        yield f"no GPU is read: {terminal_text(str(gpus['reason']))}"
    if names:
        yield ""
        yield from _table(reading, names, COLUMNS, width, colors)
        yield from _parts(reading, names)
        yield from _throttled(reading, colors)
    if gpus.get("order_note"):
        yield f"note  {gpus['order_note']}"
    yield from _processes(processes)
    yield from _reasons(reading, colors)


def _names(gpus: Mapping[str, Any]) -> dict[str, str]:
    """What stands at the beginning of each GPU's row."""
    found = {}
    for each in gpus.get("gpus", ()):
        cuda = f" {each['cuda']}" if each.get("cuda") else ""
        name = f" {terminal_text(each['name'])}" if each.get("name") else ""
        found[f"gpu{each['index']}"] = f"gpu{each['index']}{cuda}{name}"
    return found


def _table(
    reading: Reading, names: Mapping[str, str], columns: Sequence[Column], width: int, colors: bool
) -> Iterator[str]:
    """Rows of devices, broken into several tables where the terminal is too narrow for all columns."""
    first = ["", "", *names.values()]
    cells = [[column.name, column.unit, *(_cell(reading, device, column) for device in names)] for column in columns]
    label = max(map(len, first))
    for part in _fitting(cells, width - label):
        widths = [max(map(len, column)) for column in part]
        for row, begin in enumerate(first):
            told = GAP.join(column[row].rjust(size) for column, size in zip(part, widths, strict=True))
            line = f"{begin.ljust(label)}{GAP}{told}"
            yield _colored(line, BOLD if row == 0 else DIM if row == 1 else "", colors)


def _fitting(cells: Sequence[Sequence[str]], width: int) -> Iterator[list[Sequence[str]]]:
    """Columns in groups, each of which fits."""
    part: list[Sequence[str]] = []
    used = 0
    for column in cells:
        size = max(map(len, column)) + len(GAP)
        if part and used + size > max(width, WRAPPED_BELOW):
            yield part
            part, used = [], 0
        part.append(column)
        used += size
    yield part


def _cell(reading: Reading, device: str, column: Column) -> str:
    key = f"{device}/{column.key}"
    if key in reading.values:
        return f"{reading.values[key] / column.divisor:.{column.digits}f}"
    return MISSING if key in reading.missing or device in reading.missing else NOT_YET


def _parts(reading: Reading, names: Mapping[str, str]) -> Iterator[str]:
    """A line for each MIG instance."""
    for device in dict.fromkeys(key.split("/")[0] for key in reading.values):
        if device != "host" and device not in names:
            told = [
                f"{c.name} {_cell(reading, device, c)} {c.unit}"
                for c in COLUMNS
                if f"{device}/{c.key}" in reading.values
            ]
            yield f"{device}{GAP}{GAP.join(told)}"


def _throttled(reading: Reading, colors: bool) -> Iterator[str]:
    for key, words in reading.words.items():
        if key.endswith("/throttling"):
            slowed = any(reading.values.get(f"{key.split('/')[0]}/{name}") for name in _slowing())
            yield _colored(f"{key.split('/')[0]}{GAP}held back by: {words}", RED if slowed else "", colors)


def _slowing() -> Iterable[str]:
    from torchglass.instrumentation.devices.throttling import PREFIX, REASONS

    return [PREFIX + reason.key for reason in REASONS if reason.slows]


def _processes(processes: Mapping[str, Any]) -> Iterator[str]:
    for device, told in processes.items():
        for each in told["processes"][:SHOWN_PROCESSES]:
            size = MISSING if each["memory_bytes"] is None else f"{each['memory_bytes'] / MEGA:.0f} MB"
            yield f"{device}{GAP}process {each['pid']}{GAP}{size}{GAP}{terminal_text(each['name'] or '(unknown)')}"
        if len(told["processes"]) > SHOWN_PROCESSES:
            yield f"{device}{GAP}and {len(told['processes']) - SHOWN_PROCESSES} more processes"
        if told.get("reason"):
            yield f"{device}{GAP}processes {MISSING}: {terminal_text(told['reason'])}"


def _reasons(reading: Reading, colors: bool) -> Iterator[str]:
    """Why there is N/A, a line for each reason of each device."""
    short = {column.key: column.name for column in (*COLUMNS, *HOST_COLUMNS)}
    grouped: dict[tuple[str, str], list[str]] = {}
    for key, reason in reading.missing.items():
        device, _, name = key.partition("/")
        grouped.setdefault((device, reason), []).append(short.get(name, name) or "everything")
    for (device, reason), names in grouped.items():
        told = [name for name in names if name in short.values() or name == "everything"]
        if told:
            yield _colored(f"{MISSING}{GAP}{device} {', '.join(told)}: {terminal_text(reason)}", DIM, colors)


def _colored(line: str, color: str, colors: bool) -> str:
    return f"{color}{line}{PLAIN}" if colors and color else line
