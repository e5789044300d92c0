"""Studies of papers' tables at two scales, as words of `lrsched study`: what a CPU can do, and the paper's own."""

import argparse
import shlex
from collections.abc import Mapping, Sequence

from lrsched import cli


def study(document: str | None, scales: Mapping[str, str], words: Sequence[str] | None = None) -> int:
    """Runs the study of the scale that is asked for; the first is the default.

    Args:
      document: docstring of the script, for its help.
      scales: name -> options of `lrsched study`.
      words: --scale NAME, and options of `lrsched study` that count more than the scale's.
    Returns:
      the exit status.
    """
    name, more = choose(document, scales, words)
    return cli.main(["study", *shlex.split(scales[name]), *more])


def choose(
    document: str | None, scales: Mapping[str, str], words: Sequence[str] | None = None
) -> tuple[str, list[str]]:
    """The name of the scale, and the other words."""
    parser = argparse.ArgumentParser(
        description=(document or "").splitlines()[0],
        epilog="Any other option is one of `lrsched study`, such as --data-dir, --out, --seeds, --dry-run.",
        allow_abbrev=False,
    )
    parser.add_argument("--scale", choices=list(scales), default=next(iter(scales)))
    args, more = parser.parse_known_args(words)
    return args.scale, more
