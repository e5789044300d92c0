"""The tables of WSD.md: what was read of each stack, what it does in one setting, and the words that make it here.

    uv run python tests/conformance/wsd.py

prints them. wsd.json holds what the packages that install from PyPI returned (record_wsd.py).
"""

from __future__ import annotations

import json
import pathlib
import sys
from collections.abc import Callable
from typing import NamedTuple

import wsd_rates as rates
from wsd_rates import BEYOND, REFERENCE, SETTINGS, Setting

FILE = pathlib.Path(__file__).with_name("wsd.json")
RECORDED = json.loads(FILE.read_text()) if FILE.exists() else []


class Stack(NamedTuple):
    """A stack's row: what was read, its rates, its conventions in words, and its shapes: theirs, ours."""

    name: str
    read: str
    rate: Callable[[int, Setting], float] | tuple[str, str]  # or the library and the release that was recorded
    words: Callable[[Setting], str]
    counts: str
    lengths: str
    overlap: str
    shapes: dict[str, str]
    fits: Callable[[Setting], bool] = lambda s: True

    def at(self, k: int, s: Setting) -> float:
        """The rate of update k."""
        if not isinstance(self.rate, tuple):
            return self.rate(k, s)
        key = (list(self.rate), list(s))
        (values,) = (each["values"] for each in RECORDED if (each["of"], each["setting"]) == key)
        return float(values[k])

    @property
    def reference(self) -> Setting:
        """The setting of the page, in the stack's first shape."""
        return REFERENCE._replace(shape=next(iter(self.shapes.values())))

    def settings(self) -> list[Setting]:
        return [s._replace(shape=shape) for s in SETTINGS if self.fits(s) for shape in self.shapes.values()]


TITAN = {"linear": "linear", "cosine": "cosine", "sqrt": "one_minus_sqrt"}
TYPES = {"linear": "linear", "cosine": "cosine", "1-sqrt": "one_minus_sqrt"}
JUMPS = "the warmup goes on, then a jump into the decay"
CUT = "the decay is cut to what the warmup leaves"
STACKS = [
    Stack(
        "torchtitan 0.2.2",
        "`pytorch/torchtitan` b5bcd76c (2026-08-21), `torchtitan/components/optimizer/lr_scheduler.py`",
        rates.torchtitan,
        rates.ahead_words,
        "f(k), the warmup and the decay from 1, with a virtual last update",
        "`warmup_steps`; `round(decay_ratio * T)`, a half to the even",
        CUT,
        TITAN,
    ),
    Stack(
        "torchtitan until 2025-06",
        "`pytorch/torchtitan` 73bb964d (2025-04-04), before #1284, `torchtitan/components/lr_scheduler.py`",
        rates.torchtitan_before,
        rates.before_words,
        "f(k), from 1, by slopes of 1 / (W + 1) and 1 / (D + 1)",
        "as above",
        CUT,
        TITAN,
        lambda s: s.total > s.warmup + s.decay,
    ),
    Stack(
        "Megatron-LM 0.20.0",
        "`NVIDIA/Megatron-LM` d98e8a64 (2026-08-22), `megatron/core/optimizer_param_scheduler.py`",
        rates.megatron,
        rates.plain_words,
        "f(samples before the update)",
        "`lr_warmup_iters`, `lr_wsd_decay_iters`, times the batch; `lr_warmup_fraction` is not rounded",
        JUMPS,
        {
            "linear": "linear",
            "cosine": "cosine",
            "minus_sqrt": "one_minus_sqrt",
            "exponential (default)": "exponential_to_zero",
        },
    ),
    Stack(
        "levanter 1.2",
        "`marin-community/levanter` 9263f81e (2025-09-26), `src/levanter/optim/config.py`; in `marin` 0f45aa1c too",
        rates.levanter,
        rates.plain_words,
        "f(k), Optax's count",
        "steps, or `int(fraction * T)`; a 1 is the whole",
        f"{CUT} (in `marin`)",
        {"linear": "linear", "cosine (default)": "cosine"},
    ),
    Stack(
        "OLMo-core 2.5.0",
        "`allenai/OLMo-core` fa6c5014 (2026-06-22), `src/olmo_core/optim/scheduler.py`",
        rates.olmo,
        rates.olmo_words,
        "f(k + 1)",
        "steps or tokens, or `round(fraction * T)`, a half to the even",
        JUMPS,
        {"linear": "linear"},
        lambda s: s.warmup > 0 or s.decay < s.total,
    ),
    Stack(
        "MaxText",
        "`AI-Hypercomputer/maxtext` e591f30c (2026-08-22), `src/maxtext/utils/maxtext_utils.py`",
        rates.maxtext,
        rates.maxtext_words,
        "f(k), Optax's count; the decay ends in D - 1 updates",
        "`int(fraction * T)`; a linear decay of one update is none",
        "the decay follows the warmup and is broken off at T",
        {"linear": "linear", "cosine": "cosine"},
        lambda s: s.total > 1,
    ),
    *(
        Stack(
            f"transformers {version}" + " (cosine)" * (version < "4.49"),
            f'{version} from PyPI, `get_scheduler("warmup_stable_decay")`',
            ("transformers", version),
            rates.plain_words if version < "4.49" else rates.from_end_words,
            "f(k); the log has f(k + 1)" if version < "4.51" else "f(k)",
            lengths,
            "the stable part is given, and T the sum" if version < "4.49" else JUMPS,
            {"cosine": "cosine"} if version < "4.49" else TYPES,
        )
        for version, lengths in (
            ("4.48.3", "steps; `warmup_ratio * T` rounded up"),
            ("4.57.6", "steps; `warmup_ratio * T` rounded up"),
            ("5.24.0", "steps; a `warmup_steps` below 1 is a share of T, rounded up"),
        )
    ),
    Stack(
        "timm 1.0.31",
        "1.0.31 from PyPI, `WSDLRScheduler(t_in_epochs=False)`",
        ("timm", "1.0.31"),
        rates.plain_words,
        "f(k), or of the epoch",
        "steps of its clock; T is `warmup_t + t_initial`",
        "cannot: the warmup comes on top; `decay_t` above `t_initial` is refused",
        {**TYPES, "power, 2": "square", "exp, 1/2": "exponential_to_zero"},
    ),
    Stack(
        "nanochat",
        "`karpathy/nanochat` 92d63d4e (2026-07-03), `scripts/base_train.py`",
        rates.nanochat,
        rates.ahead_words,
        "f(k), the warmup from 1",
        "`warmup_steps`; `round(warmdown_ratio * T)`, a half to the even",
        JUMPS,
        {"linear": "linear"},
    ),
    Stack(
        "modded-nanogpt",
        "`KellerJordan/modded-nanogpt` f411b3d3 (2026-08-01), `train_gpt.py`",
        rates.modded,
        rates.modded_words,
        "f(k); levels of 1, 1.52 and 1.73, a third each, as batches grow",
        "decay from `int(T * (1 - cooldown_frac))`; 15 more updates at the end",
        "no warmup",
        {"linear": "linear"},
    ),
    Stack(
        "pytorch-scheduler 0.2.2",
        "0.2.2 from PyPI, `WSDScheduler`",
        ("pytorch-scheduler", "0.2.2"),
        rates.plain_words,
        "f(k)",
        "steps; the decay takes what warmup and stable part leave",
        "refused",
        TITAN,
    ),
]


def _table(head: str, rows: list[list[str]]) -> str:
    lines = [head, "|---" * (head.count("|") - 1) + "|", *(f"| {' | '.join(row)} |" for row in rows)]
    return "\n".join(lines) + "\n"


def _did(stack: Stack) -> list[str]:
    """What a stack does in the setting of the page: at its first update, its peak, and around its end."""
    s = stack.reference
    values = [stack.at(k, s) for k in range(s.total + BEYOND + 1)]
    peak = max(values)
    at_peak = [k for k, value in enumerate(values) if value == peak]
    assert at_peak == list(range(at_peak[0], at_peak[-1] + 1))
    begins = f"{at_peak[0]} to {at_peak[-1]}" + (f" ({peak:.4g})" if peak != 1 else "")
    ends = [f"{values[k]:.4g}" for k in (s.total - 1, s.total, s.total + BEYOND)]
    return [stack.name, f"{values[0]:.4g}", begins, f"{at_peak[-1] + 1}", *ends]


def tables() -> list[str]:
    """The tables of the page, in its order."""
    t = REFERENCE.total
    return [
        _table(
            f"| stack | update 0 | at the peak | first below it | update {t - 1} | {t} | {t + BEYOND} |",
            [_did(stack) for stack in STACKS],
        ),
        _table(
            "| stack | in words | shapes: theirs = ours |",
            [
                [
                    each.name,
                    f"`{each.words(each.reference)}`",
                    ", ".join(k if k == v else f"{k} = `{v}`" for k, v in each.shapes.items()),
                ]
                for each in STACKS
            ],
        ),
        _table(
            "| stack | read | rates | update k | lengths | warmup and decay overlap |",
            [
                [
                    each.name,
                    each.read,
                    "recorded" if isinstance(each.rate, tuple) else "by hand",
                    each.counts,
                    each.lengths,
                    each.overlap,
                ]
                for each in STACKS
            ],
        ),
    ]


if __name__ == "__main__":
    sys.stdout.write("\n".join(tables()))
