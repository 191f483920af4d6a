"""The engine that asks a running server, vLLM's or SGLang's, over HTTP."""
