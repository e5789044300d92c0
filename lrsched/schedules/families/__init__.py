"""The schedules: factory(peak_value, *, total_steps, ...) -> `Schedule`; momentum schedules begin with a momentum.

Every factory raises ValueError for a concrete number outside what its docstring allows; traced numbers pass. Lengths
are written as `durations` has it. What all docstrings share, `documented` fills in. A new schedule is a function here
and, except for a decay, a line in `registry`.
"""
