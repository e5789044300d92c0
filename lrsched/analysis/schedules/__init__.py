"""Schedules on a page of HTML and in the terminal."""
