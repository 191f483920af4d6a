"""Recorded tokens, or prompts of an engine, through the model itself; what comes out is handed to `moexray.checks`."""
