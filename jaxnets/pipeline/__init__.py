"""The input pipeline: from arrays on the device to batches, inside the jitted step."""
