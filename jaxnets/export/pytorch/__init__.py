"""The models in plain PyTorch: what `jaxnets export` copies into a model.py, and what the tests of parity compare ours with.

A file and a class have the names of the Linen module's: jaxnets.models.lenet:LeNet is lenet.py:LeNet here. Constructors take
plain values, those of `arguments` in `torch_form` of the Linen module, and images are [N, C, H, W]. jaxnets itself never
imports these files: they need torch, which jaxnets does not.
"""
