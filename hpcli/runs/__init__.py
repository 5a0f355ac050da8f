"""Runs read back: `run` opens a folder, `weights` loads checkpoints by path and label. No torch but for weights."""
