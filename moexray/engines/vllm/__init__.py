"""The engine that runs models in vLLM."""
