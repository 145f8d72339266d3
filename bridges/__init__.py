"""Torchglass in the shape of what a training script already calls: writers, trackers and trainers' callbacks.

Each file stands alone and imports its framework on use: `torchglass.bridges.wandb`, `.lightning`, `.transformers`,
`.keras`, `.optuna`, and `torchglass.SummaryWriter`.
"""
