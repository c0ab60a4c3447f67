"""jaxnets: the classic small-network experiments of five PyTorch reports, re-run in JAX with error bars over seeds."""

__version__ = "0.2.0"
