"""What can be varied by a name of its own, and the config key behind each name."""

VARIED = {"weight_decay": "optimizer.weight_decay", "momentum": "schedule.momentum"}
