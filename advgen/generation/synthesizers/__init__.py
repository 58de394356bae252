"""Synthesizers: DeepFloyd IF, any text-to-image pipeline of diffusers."""
