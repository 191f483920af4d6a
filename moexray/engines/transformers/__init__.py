"""The engine that runs models of Hugging Face transformers and hooks their routers."""
