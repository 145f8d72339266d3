"""Gradients, weights and updates of each parameter, read at the steps that are due."""
