"""Where an experiment's rows and states go: `recorder` says what that takes; in `memory`, on `disk`, or in both."""
