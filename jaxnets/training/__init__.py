"""The training engine: state, step, loop, devices, checkpoints."""
