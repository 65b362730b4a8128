"""Experiments: sweeps over DVC's queue, and their results gathered."""
