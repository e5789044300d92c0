"""The REX paper's test errors, to stand beside measured ones (Chen, Wolfe, Kyrillidis, arXiv:2107.04197)."""

from __future__ import annotations

import csv
import dataclasses
import functools
import importlib.resources
import math
from collections.abc import Iterable, Sequence

from lrsched.analysis import Record

# What the paper, and its authors' earlier one with the same benchmarks (Demon, arXiv:1910.04952, appendix A), state:
# data, model, optimiser, batch size, momentum (cycled by 1cycle), budget, and that rates were tuned for each entry.
# Not stated: weight decay, augmentation, the form of the momentum, whether data was held out.
BATCH_SIZE, MOMENTUM = 128, 0.9
# The paper's words for ours. Its SGD has momentum and, as far as it says, no Nesterov.
OPTIMIZERS = {"sgd": "sgdm"}
SCHEDULES = {name: name for name in ("rex", "linear", "cosine", "step", "exponential")} | {
    "constant": "none",
    "onecycle:variant=rex_paper": "onecycle",
}
# Table 2 calls "step" an exponential profile whose constant it does not give; figure 2's levels are those of this one.
STEEP = "exponential:gamma=-5"
SAMPLINGS = {"every_step": "every", "every iter": "every"}  # the paper's words (Tables 4-9, Table 2) for ours


@dataclasses.dataclass(frozen=True)
class PaperNumber:
    """A printed test error, in [0, 1], and where it stands; std and trials are None where the paper gives none.

    `unstated` names what the paper leaves unsaid, and its value in the run beside it; "" if that is not known.
    """

    mean: float
    std: float | None
    trials: int | None
    source: str
    unstated: str = ""

    @property
    def tuned(self) -> bool:
        """Whether a rate was chosen for each entry (Tables 4-9), and not one for all (Table 2)."""
        return self.source.endswith("Tables 4-9")


def find_error(
    *, data: str, model: str, optimizer: str, schedule: str, sampling: str, epochs: float, max_epochs: float
) -> PaperNumber | None:
    """Finds the paper's test error for a setting, if it has one.

    Tables 4-9, 3 trials each, are sampled at every update. What they do not have, other sampling rates and RN38, is of
    Table 2, one number each; its "step" rows are left out, because there "step" is an exponential of a constant that
    the paper does not give (`find_errors` has them for STEEP).

    Args:
      data, model, optimizer: as in a run's config.
      schedule: canonical words without the sampling rate: those of SCHEDULES, so "rex:d=0.9" has no number, and of the
        1cycles only "onecycle:variant=rex_paper" has.
      sampling: "every" (the paper's "every iter"), or a name of the paper's: "50-75", "33-66", "25-50-75", "10-10",
        "5-25", "1-100".
      epochs: the budget; must agree in epochs and as a percentage of max_epochs.
      max_epochs: what the percentage is of.
    Returns:
      the number, or None.
    Example:
      >>> found = find_error(data="cifar10", model="resnet20", optimizer="sgd", schedule="rex", sampling="every",
      ...                    epochs=3.0, max_epochs=300.0)
      >>> found.mean, found.std, found.trials, found.source
      (0.2794, 0.0046, 3, 'REX arXiv:2107.04197, Tables 4-9')
    """
    setting = {"data": data, "model": model, "optimizer": optimizer, "schedule": schedule, "sampling": sampling}
    found = [] if schedule == STEEP else find_errors(**setting, epochs=epochs, max_epochs=max_epochs)
    return max(found, key=lambda number: number.tuned, default=None)


def find_errors(
    *, data: str, model: str, optimizer: str, schedule: str, sampling: str, epochs: float, max_epochs: float
) -> list[PaperNumber]:
    """Every printed number of a setting, whose arguments are those of `find_error`: some stand in two tables."""
    words = SCHEDULES | {STEEP: "step"}
    if schedule not in words:
        return []
    wanted = {
        "dataset": data,
        "model": model,
        "optimizer": OPTIMIZERS.get(optimizer, optimizer),
        "schedule": words[schedule],
        "metric": "test_error_pct",
    }
    return [
        PaperNumber(
            mean=_as_fraction(row["mean"]),
            std=_as_fraction(row["std"]) if row["std"] else None,
            trials=int(row["trials"]) if row["trials"] else None,
            source=f"{row['paper']}, {row['table']}",
        )
        for row in _read_rows()
        if all(row[column] == value for column, value in wanted.items())
        and SAMPLINGS.get(row["sampling"], row["sampling"]) == sampling
        and (words[schedule] != "step" or (row["table"] == "Table 2") == (schedule == STEEP))
        and math.isclose(float(row["epochs"]), epochs)
        and math.isclose(float(row["budget_pct"]), 100 * epochs / max_epochs)
    ]


def find_numbers(records: Sequence[Record]) -> dict[tuple[str, str], PaperNumber]:
    """Finds the paper's numbers for the settings of these records: (label, budget) -> number.

    A run that differs in what the paper states has none. What the paper leaves unsaid is noted with the number.

    A label is a schedule's canonical words, "rex" or "rex@50-75": name, then its sampling rate unless that is every
    update.
    """
    found: dict[tuple[str, str], PaperNumber] = {}
    for record in records:
        config = record["config"]
        schedule, _, sampling = record["label"].partition("@")
        if config["batch_size"] != BATCH_SIZE or not momentum_agrees(config["momentum"], schedule):
            continue
        number = find_error(
            data=config["data"],
            model=config["model"],
            optimizer=config["optimizer"],
            schedule=schedule,
            sampling=sampling or "every",
            epochs=float(record["epochs"]),
            max_epochs=float(config["max_epochs"]),
        )
        if number is not None:
            unstated = describe_unstated(config, number)
            found[record["label"], config["budget"]] = dataclasses.replace(number, unstated=unstated)
    return found


def momentum_agrees(momentum: str | None, schedule: str) -> bool:
    """Whether a run's momentum is the paper's: the schedule's own (None), or 0.9 unless the schedule cycles it."""
    if momentum is None:
        return True
    try:
        return float(momentum) == MOMENTUM and not schedule.startswith("onecycle")
    except ValueError:  # words of a momentum schedule
        return False


def describe_unstated(config: Record, number: PaperNumber) -> str:
    """The run's values of what the paper does not state beside a number; what a record does not hold is left out."""
    words = [] if number.tuned or "peak_value" not in config else [f"rate {config['peak_value']:g}"]
    if "weight_decay" in config:
        mode = config.get("weight_decay_mode")
        words.append(f"weight decay {config['weight_decay']:g}" + (f" ({mode})" if mode else ""))
    if "augment" in config:
        words.append("augmentation" if config["augment"] else "no augmentation")
    if "momentum_form" in config and config["optimizer"] in OPTIMIZERS:
        words.append(f"momentum in {config['momentum_form']}'s form")
    held_out = config.get("holdout_fraction")
    if held_out is not None:
        part = f"{100 * held_out:.3g} % of the training data held out"
        words.append(part if held_out else "no data held out")
    return ", ".join(words)


def list_unstated(numbers: Iterable[PaperNumber]) -> list[str]:
    """What is left unsaid beside these numbers, once; not what another of the texts ends with."""
    texts = dict.fromkeys(number.unstated for number in numbers if number.unstated)
    return [text for text in texts if not any(other.endswith(f", {text}") for other in texts)]


@functools.cache
def _read_rows() -> list[dict[str, str]]:
    table = importlib.resources.files("lrsched.analysis.study").joinpath("paper_numbers.csv")
    rows = csv.DictReader(table.read_text(encoding="utf-8").splitlines())
    return [row for row in rows if row["paper"].startswith("REX")]


def _as_fraction(percent: str) -> float:
    """A printed percentage as a fraction: "27.94" -> 0.2794, without the last bit's noise of a division."""
    return round(float(percent) / 100, 6)
