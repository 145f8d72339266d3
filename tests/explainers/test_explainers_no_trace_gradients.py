"""What the caller switched on or compiled changes no map of the class-activation, gradient and attention methods."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
from explainers_written import Attentive, texts
from explainers_zoo import LeNet
from test_explainers_no_trace import state
from torch import Tensor, nn

from torchglass.explainers import explain

METHODS: dict[str, dict[str, Any]] = {
    "gradcam_plus_plus": {},
    "layercam": {},
    "scorecam": {},
    "ablationcam": {},
    "guided_gradcam": {},
    "saliency": {},
    "smoothgrad": {"samples": 3},
    "deeplift": {"background": 0.3},
    "lrp": {},
    "attention_rollout": {},
}


@pytest.mark.parametrize("method", [name for name in METHODS if name != "attention_rollout"])
def test_what_the_caller_switched_on_and_compiled_changes_nothing(method: str, pictures: Tensor) -> None:
    model, options = LeNet(lambda: nn.ReLU(inplace=True)).eval(), METHODS[method]
    plain = explain(model, pictures, target=1, method=method, **options).attributions
    compiled = torch.compile(model, backend="eager")
    assert isinstance(compiled, nn.Module)
    compiled(pictures)
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        inside = explain(compiled, pictures * 1, target=1, method=method, **options).attributions
    np.testing.assert_array_equal(inside, plain)
    half = explain(copy.deepcopy(model).bfloat16(), pictures, target=1, method=method, **options)
    assert half.attributions.any()


def test_asking_for_attention_leaves_torchs_fused_path_and_the_model_as_they_were() -> None:
    model = Attentive().eval()
    fast = torch.backends.mha.get_fastpath_enabled()
    before, wanted = state(model), model(texts())
    explain(model, texts(), method="attention_rollout")
    assert torch.backends.mha.get_fastpath_enabled() == fast
    assert not torch.overrides._len_torch_function_stack()  # type: ignore[attr-defined]
    assert state(model) == before
    torch.testing.assert_close(model(texts()), wanted, rtol=0, atol=0)
