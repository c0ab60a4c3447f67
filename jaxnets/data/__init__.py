"""Data sets: where they come from, and the memory-mapped arrays they are prepared into. NumPy and TFDS only, no jax."""
