"""Trials: one training run each (`run`), described by a `spec`, and brought to their end by an executor (`serial`)."""
