"""PyTorch twins of the models: the same layers, so that weights carry over and speeds compare."""
