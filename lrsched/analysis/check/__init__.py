"""Traces of rates from anybody's run held against a schedule: where they part, and why."""
