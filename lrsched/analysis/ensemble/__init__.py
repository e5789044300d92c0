"""Ensembles: calibration, ways to combine predictions, scores, and their tables and figures."""
