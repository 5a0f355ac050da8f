"""Recording an experiment: the protocol (`recorder`), in `memory`, on `disk`, or in several places (`fan_out`)."""
