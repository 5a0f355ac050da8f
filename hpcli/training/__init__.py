"""The shared trainer: schedules as tables, one loop over them, one step."""
