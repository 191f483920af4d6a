"""One figure a file: functions that take finished numbers and, if wanted, a matplotlib Axes."""
