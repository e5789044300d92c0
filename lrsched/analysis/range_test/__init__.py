"""Learning-rate range tests: ramps, rules that read a rate off them, what following a rule costs, and the figures."""
