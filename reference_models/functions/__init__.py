"""Custom `torch.autograd.Function`s, one per file: the forward and the backward pass both written here.

Each is the same shape, the one that torch recommends since 2.0 and that `torch.func` and `torch.compile` can read:
`forward` computes and knows no context, `setup_context` says what the backward pass will need, `backward` returns one
gradient per input. A `backward` that is itself made of differentiable operations can be differentiated again.
tests/reference_models/test_reference_gradients.py holds every one of them to finite differences.
"""
