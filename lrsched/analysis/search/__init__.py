"""Hyperparameter searches: tables and figures of the settings that were tried."""
