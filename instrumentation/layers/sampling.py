"""How the parameters of a sampled step are read: grouped by device and type once, copied or measured in place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from torchglass.instrumentation.layers.copies import CopyAllowance, Pool
from torchglass.instrumentation.layers.norms import CopiedSample, FusedSample, Norms

_Names = tuple[str, ...]
_Members = tuple[_Names, list[nn.Parameter]]


@dataclass(frozen=True)
class DeviceGroup:
    """The parameters of one device, by type: small ones on the host are copied, the others measured in place."""

    device: torch.device
    copied: list[_Members]
    in_place: list[_Members]

    def sample(self, scale: torch.Tensor | None, pool: Pool) -> DeviceSample:
        """Read gradients, which `scale` divides where there is one, and keep what the weights are."""
        return DeviceSample(
            [CopiedSample(names, parameters, scale, pool) for names, parameters in self.copied],
            [FusedSample(names, parameters, scale) for names, parameters in self.in_place],
        )


class Plan:
    """Groups of parameters, which hold until one is moved or converted."""

    def __init__(self, parameters: Mapping[str, nn.Parameter]) -> None:
        self._parameters = list(parameters.values())
        self._places = self._places_now()
        groups: dict[torch.device, dict[tuple[torch.dtype, bool], dict[str, nn.Parameter]]] = {}
        allowance = CopyAllowance()
        for name, parameter in parameters.items():
            kinds = groups.setdefault(parameter.device, {})
            copied = parameter.device.type == "cpu" and allowance.covers(parameter.numel())
            kinds.setdefault((parameter.dtype, copied), {})[name] = parameter
        self.groups = [
            DeviceGroup(
                device,
                [(tuple(members), list(members.values())) for (_, copied), members in kinds.items() if copied],
                [(tuple(members), list(members.values())) for (_, copied), members in kinds.items() if not copied],
            )
            for device, kinds in groups.items()
        ]

    def holds(self) -> bool:
        """Tell whether every parameter is where and what it was."""
        return self._places == self._places_now()

    def _places_now(self) -> tuple[list[torch.device], list[torch.dtype]]:
        return [each.device for each in self._parameters], [each.dtype for each in self._parameters]


class DeviceSample:
    """One device's parameters around one step."""

    def __init__(self, copied: list[CopiedSample], fused: list[FusedSample]) -> None:
        self._copied = copied
        self._fused = fused

    @property
    def held_bytes(self) -> int:
        """Memory that is held until the norms are known."""
        return sum(sample.held_bytes for sample in self._copied)

    def end(self) -> torch.Tensor | None:
        """Read the weights again; returns what has to come over from the device, None for nothing."""
        for sample in self._copied:
            sample.end()
        return torch.cat([sample.end() for sample in self._fused]) if self._fused else None

    def norms(self, arrived: npt.NDArray[np.floating]) -> list[Norms]:
        """All norms, some of which arrived from the device; changes nothing, so that it may be asked again."""
        parts = np.split(arrived, np.cumsum([sample.size for sample in self._fused])[:-1])
        in_place = [sample.norms(part) for sample, part in zip(self._fused, parts, strict=False)]
        return [*(sample.norms() for sample in self._copied), *in_place]

    def release(self) -> None:
        """Let go of the copies: no more norms will be asked for."""
        for sample in self._copied:
            sample.release()
