"""What a schedule will do: bounds, laws of the loss curve and their fits, and decay after the fact.

Rates in, numbers out: this wing knows arrays, and of schedules only that they are called with steps.
"""
