"""Recording: drive an engine, count what it yields, and write it to files; see `moexray.recording.capture`."""
