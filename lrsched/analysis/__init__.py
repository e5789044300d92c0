"""Numbers and pictures, by subject: arrays and records in, tables and figures out. Imports no other wing."""

from collections.abc import Mapping
from typing import Any

Record = Mapping[str, Any]  # what JSON gives back of a run, a search or an ensemble
