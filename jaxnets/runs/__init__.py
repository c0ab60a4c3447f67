"""Whole runs: training in a folder, progress, summaries, loading trained nets, sweeps."""
