"""Trained nets for other frameworks: weights and code in plain PyTorch, and ONNX."""
