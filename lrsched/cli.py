"""The command line: it parses, runs a command, shows progress, and reports a mistake in one line (exit status 2)."""

from __future__ import annotations

import codecs
import io
import os
import sys
from collections.abc import Callable

from lrsched.runs import interrupts

# Package that is missing -> the extra that brings it.
_EXTRAS = {"optuna": "tune", "tensorboardX": "tensorboard", "wandb": "wandb", "mlflow": "mlflow", "ray": "ray"}
_EXTRAS |= {"submitit": "slurm"}


def main(arguments: list[str] | None = None) -> int:
    """The program `lrsched`.

    Returns:
      the exit status: the command's own, 0 but for a check that found a difference (1); 2 after a mistake in the
      arguments (one line on standard error), 130 after Ctrl-C, 143 after SIGTERM, 141 if its output was closed before
      the work was done.
    """
    _replace_what_cannot_be_shown()
    return guarded(lambda: _run_and_print(sys.argv[1:] if arguments is None else arguments))


def guarded(work: Callable[[], int]) -> int:
    """The exit status of some work; a mistake in what it was given, or Ctrl-C, becomes one line on standard error.

    For other programs too, as those under experiments/ are.
    """
    with interrupts.handled():
        try:
            return work()
        except BrokenPipeError:
            _close_output()
            return 141
        except ModuleNotFoundError as error:
            missing = (error.name or "").partition(".")[0]
            if missing == "lrsched":
                raise
            extra = f"lrsched[{_EXTRAS.get(missing, 'train')}]"
            print(f"lrsched: {missing} is not installed, which this needs: pip install '{extra}'", file=sys.stderr)
            return 2
        except (ValueError, OSError) as error:
            print(f"lrsched: {' '.join(str(error).split())}", file=sys.stderr)
            return 2
        except KeyboardInterrupt as end:
            print(f"lrsched: interrupted{f', {end}' if str(end) else ''}; the same command resumes.", file=sys.stderr)
            return interrupts.exit_status()


def _run_and_print(arguments: list[str]) -> int:
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # models, data sets and schedules of the user's own
    text, status = _run(arguments)
    try:
        print(text, flush=True)
    except BrokenPipeError:  # as in: lrsched schedules | head
        _close_output()
    return status


def _close_output() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(arguments: list[str]) -> tuple[str, int]:
    """Runs a command; the text it ends with, and its exit status."""
    from lrsched import display, parsing

    command = parsing.parse(arguments)
    with display.progress(command.name) as report:
        outcome = command.module.run(command.config, report)
    if not outcome.files:
        return str(outcome.text), outcome.status
    between = " " if len(outcome.files) == 1 else "\n  "
    return between.join([f"{outcome.text}\nwritten:", *map(str, outcome.files)]), outcome.status


def _replace_what_cannot_be_shown() -> None:
    """On a terminal or pipe without Unicode braille, † and ± are replaced, where they would be an error."""
    codecs.register_error("lrsched", _replaced)
    for stream in sys.stdout, sys.stderr:
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="lrsched")


def _replaced(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    plain = {"†": "+", "±": "+-", "…": "..."}
    return "".join(plain.get(one, "*" if "\u2800" < one <= "\u28ff" else "?") for one in text), error.end


if __name__ == "__main__":
    sys.exit(main())
