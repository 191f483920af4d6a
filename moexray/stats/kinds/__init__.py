"""Routing by kind of token: text and image, prompt and generated, or any two others."""
