"""Studies that run a model under routing rules: each drives an engine and hands what it measured to a study."""
