"""Studies: records of runs gathered into cells, the table and figures made of them, and the papers' numbers."""
