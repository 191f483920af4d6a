"""Engines: they run a model and yield one routed sequence a prompt."""
