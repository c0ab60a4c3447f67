"""Scenes as bags of visual words: local descriptors, a dictionary of them, and histograms over a pyramid of regions."""
