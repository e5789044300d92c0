"""Runs: one run, many runs, what they leave on disk. May use the wings."""
