"""Layers and the functions under them: convolution, normalisation, native CPU kernels."""
