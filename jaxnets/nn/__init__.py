"""Layers and the functions under them: convolution, normalization, native CPU kernels."""
