"""Schedules with phases (warmup, hold, cooldown), and the momentum decay Demon."""

from __future__ import annotations

from collections.abc import Sequence as SequenceOf
from typing import Any

from lrsched.schedules import profiles
from lrsched.schedules.combine import Sequence, phases, sequence
from lrsched.schedules.core import Decay, decay, of_peak
from lrsched.schedules.documented import documented
from lrsched.schedules.durations import duration
from lrsched.schedules.families import rising
from lrsched.schedules.families.powers import logarithm
from lrsched.schedules.profiles import Profile
from lrsched.schedules.sampling import Sampling
from lrsched.schedules.values import LARGEST_STEP, Number, as_tuple, check_choice, check_number, is_concrete

#: The cooldowns of Haegele et al.'s code, in its order, and Megatron-LM's own.
COOLDOWNS = ("linear", "one_minus_sqrt", "cosine", "mirror_cosine", "square", "exponential_to_zero")


@documented
def wsd(
    peak_value: Number,
    *,
    total_steps: Number,
    warmup: Number | str = 0.05,
    cooldown: Number | str = 0.2,
    shape: str | Profile = "one_minus_sqrt",
    init_value: Number = 0.0,
    end_value: Number = 0.0,
) -> Sequence:
    """WSD: warmup, stable, decay; the trapezoid, with `shape="linear"`.

    lr(t) = init_value + (peak_value - init_value) * t / W for t < W; peak_value until T - D; then
    end_value + (peak_value - end_value) * shape((t - (T - D)) / D),   T = total_steps, W = warmup, D = cooldown.

    Args:
      peak_value: the rate between warmup and cooldown; at least 0.
      warmup: steps (500, "500st") or a fraction of the budget (0.05, "5%"), rounded down.
      cooldown: likewise.
      shape: "linear", "one_minus_sqrt", "cosine", "mirror_cosine", "square" or "exponential_to_zero"; or a profile of
        `lrsched.profiles`.
      init_value: rate of the first update, if there is a warmup; a rate or a percentage of the peak ("1%").
      end_value: the rate at total_steps, if there is a cooldown; likewise.
    Returns:
      lr(0) = init_value if the warmup has an update, else
      peak_value; lr(total_steps) = end_value if the cooldown has one; constant after.
    Raises:
      ValueError: if a concrete number is outside what is allowed, or the phases do not fit into total_steps.
    Example:
      >>> trapezoid = wsd(0.1, total_steps=1000, warmup=100, shape="linear")
      >>> print(f"{trapezoid(50):.3f} {trapezoid(800):.3f} {trapezoid(900):.3f}")
      0.050 0.100 0.050

    Source:
      Haegele et al., arXiv:2405.18392 (its code begins at peak_value / 100); Hu et al., "MiniCPM", arXiv:2404.06395.
    """
    falling = profiles.named(check_choice("shape", shape, COOLDOWNS) if isinstance(shape, str) else shape)
    parts = [
        ("warmup", rising.warmup(peak_value, total_steps=1, init_value=init_value), warmup),
        ("hold", rising.hold(peak_value), "rest"),
        ("cooldown", decay(peak_value, profile=falling, total_steps=1, end_value=end_value), cooldown),
    ]
    return phases(parts, total_steps)


@documented
def wsd_s(
    peak_value: Number,
    *,
    total_steps: Number,
    cycle_lengths: SequenceOf[Number | str] = (0.25, 0.25, 0.5),
    warmup: Number | str = 0.05,
    cooldown: Number | str = 0.1,
    shape: str = "inverse",
    end_value: Number = "10%",
) -> Sequence:
    """WSD-S: hold and decay, again and again, each time going on from the decayed state.

    In each cycle of length C: peak_value until C - D, then down to end_value by the shape, D = cooldown; "inverse":
    lr = 1 / ((1 - x) / peak_value + x / end_value), x the progress in the decay. The first cycle has a warmup.

    Args:
      peak_value: the rate between the decays; at least 0.
      cycle_lengths: each in steps (500, "500st") or as a fraction of the budget (0.25, "25%"), rounded down; the last
        takes what is left.
      warmup: of the first cycle: steps, or a fraction of that cycle.
      cooldown: of every cycle: steps, or a fraction of it.
      shape: "inverse" (the paper's, which needs an end above 0), or a cooldown of `wsd`.
      end_value: the rate at each decayed point, which belongs to the next cycle; a rate or a percentage of the peak.
    Returns:
      lr(0) = 0 if the warmup has an update; lr(total_steps) =
      end_value if the last cooldown has one, constant after. `cycle_ends` are the decayed points.
    Raises:
      ValueError: if a concrete number is outside what is allowed, or a cycle is shorter than its warmup and cooldown.
    Example:
      >>> schedule = wsd_s(0.1, total_steps=1000, warmup=50)
      >>> schedule.cycle_ends, [f"{schedule(t):.4f}" for t in (25, 475, 500, 975)]   # the last: 1 / (10 / 2 + 100 / 2)
      ((250, 500, 1000), ['0.0500', '0.1000', '0.1000', '0.0182'])

    Source:
      Wen et al., "Understanding Warmup-Stable-Decay Learning Rates", arXiv:2410.05192; the code of levanter, whose
      "inv" shape gives the first update of a decay the rate of its second. In lingua's a decay lasts a part of all
      updates so far.
    """
    end = of_peak("end_value", end_value, peak_value)
    check_number("end_value", end, at_least=0.0)
    if check_choice("shape", shape, ("inverse", *COOLDOWNS)) == "inverse":
        falling: Profile = profiles.inverse(_over(peak_value, end))
    else:
        falling = profiles.named(shape)
    lengths = as_tuple(cycle_lengths)
    for each in lengths:
        duration(each, name="cycle_lengths", rest=True)
    parts = [
        ("warmup", rising.warmup(peak_value, total_steps=1), warmup),
        ("hold", rising.hold(peak_value), "rest"),
        ("cooldown", decay(peak_value, profile=falling, total_steps=1, end_value=end), cooldown),
    ]
    # Cycles know no length of their own: the longest there is, into which every warmup in steps fits.
    one = [phases(kind, LARGEST_STEP) for kind in (parts, parts[1:])]
    cycles = [one[0], *[one[1]] * (len(lengths) - 1)]
    return sequence(cycles, durations=[*lengths[:-1], "rest"], total_steps=total_steps)


def _over(peak_value: Number, end_value: Number) -> Any:
    """How many times the end the peak is."""
    if is_concrete(end_value) and end_value == 0 and not (is_concrete(peak_value) and peak_value == 0):
        raise ValueError("end_value must be above 0 for the inverse shape, got 0.")
    if is_concrete(end_value) and is_concrete(peak_value) and end_value > peak_value:
        raise ValueError(f"end_value must be at most peak_value = {peak_value} for the inverse shape, got {end_value}.")
    return 1.0 if is_concrete(peak_value) and peak_value == 0 else peak_value / end_value


@documented
def slanted_triangular(
    peak_value: Number, *, total_steps: Number, cut: Number | str = 0.1, ratio: Number = 32.0
) -> Sequence:
    """Slanted triangular: a short line up and a long line down, from and to the peak over a ratio.

    lr(t) = peak_value * (1 + p * (ratio - 1)) / ratio,   p = t / cut for t < cut, then 1 - (t - cut) / (T - cut),
    T = total_steps.

    Args:
      peak_value: the rate at the cut; at least 0.
      cut: steps (500, "500st") or a fraction of the budget (0.1, "10%"), rounded down.
      ratio: how many times the lowest rate the peak is; at least 1.
    Returns:
      lr(0) = peak_value / ratio if the cut has an update, else
      peak_value; lr(total_steps) = peak_value / ratio, constant after.
    Raises:
      ValueError: if a concrete number is outside what is allowed, or the cut does not fit into total_steps.
    Example:
      >>> schedule = slanted_triangular(0.32, total_steps=100)
      >>> print(f"{schedule(0):.3f} {schedule(5):.3f} {schedule(10):.3f} {schedule(55):.3f}")
      0.010 0.165 0.320 0.165

    Source:
      Howard, Ruder, "ULMFiT", arXiv:1801.06146, equation 3, which has cut * (1 / cut_frac - 1) for T - cut: the same
      unless the cut was rounded.
    """
    check_number("peak_value", peak_value, at_least=0.0)
    check_number("ratio", ratio, at_least=1.0)
    low: Any = peak_value / ratio
    parts = [
        ("cut", rising.warmup(peak_value, total_steps=1, init_value=low), cut),
        ("decay", decay(peak_value, profile=profiles.linear(), total_steps=1, end_value=low), "rest"),
    ]
    return phases(parts, total_steps)


@documented
def knee(peak_value: Number, *, total_steps: Number, warmup: Number | str = 0, explore: Number | str = 0.5) -> Sequence:
    """Knee: an optional warmup, the peak for as long as the run explores, then linear to nothing.

    lr(t) = peak_value * t / W for t < W; peak_value until W + E; then peak_value * (T - t) / (T - W - E),
    T = total_steps, W = warmup, E = explore.

    Args:
      peak_value: the rate between warmup and decay; at least 0.
      warmup: steps (500, "500st") or a fraction of the budget (0.05, "5%"), rounded down.
      explore: likewise.
    Returns:
      lr(0) = 0 with a warmup and peak_value without;
      lr(total_steps) = 0, constant after.
    Raises:
      ValueError: if a concrete number is outside what is allowed, or the phases do not fit into total_steps.
    Example:
      >>> schedule = knee(1.0, total_steps=100, warmup=10, explore=50)
      >>> print(f"{schedule(1):.3f} {schedule(60):.3f} {schedule(61):.3f} {schedule(80):.3f}")
      0.100 1.000 0.975 0.500

    Source:
      Iyer et al., "Wide-minima Density Hypothesis and the Explore-Exploit Learning Rate Schedule", arXiv:2003.03977.
      Its code counts steps from 1, so its first update is our step 1 and its last has rate 0.
    """
    parts = [
        ("warmup", rising.warmup(peak_value, total_steps=1), warmup),
        ("explore", rising.hold(peak_value), explore),
        ("decay", decay(peak_value, profile=profiles.linear(), total_steps=1), "rest"),
    ]
    return phases(parts, total_steps)


@documented
def delayed(
    peak_value: Number,
    *,
    total_steps: Number,
    profile: str | Profile = "linear",
    fraction: Number = 0.5,
    end_value: Number = 0.0,
    sampling: Sampling | str | None = None,
) -> Decay:
    """Delayed: the peak until a fraction of the budget, then the whole of a profile over what is left.

    lr(t) = end_value + (peak_value - end_value) * profile(max(0, (t / total_steps - fraction) / (1 - fraction))).

    Args:
      profile: a name ("linear", "rex", "cosine", ...) or a profile of `lrsched.profiles`.
      fraction: how long the peak is held; in [0, 1).
      end_value: what a profile of 0 stands for; at least 0, or a percentage of the peak ("10%").
      sampling: when the whole is sampled; every update by default.
    Returns:
      lr(0) = peak_value, lr(total_steps) = end_value for a profile that
      ends at 0, constant after.
    Raises:
      ValueError: if a concrete number is outside what is allowed, or no profile has that name.
    Example:
      >>> print(f"{delayed(0.1, total_steps=100)(75):.4f}")
      0.0500

    Source:
      Chen, Wolfe, Kyrillidis, arXiv:2107.04197, figure 3 (linear, delayed 50 % and 75 %).
    """
    late = profiles.delayed(profile, fraction)
    return decay(peak_value, profile=late, total_steps=total_steps, sampling=sampling, end_value=end_value)


@documented
def infinite(
    peak_value: Number,
    *,
    total_steps: Number,
    warmup: Number | str = 0.1,
    cooldown: Number | str = 0.3,
    anneal: Number | str = 0.1,
    constant_fraction: Number = 0.3,
    end_fraction: Number = 0.01,
) -> Sequence:
    """Infinite: warmup, a cosine down to a constant rate that can go on as long as wished, and a final annealing.

    lr(t) = peak_value * t / W for t < W; c + (peak_value - c) * (1 + cos(pi (t - W) / C)) / 2 until W + C;
    c until T - A; then c * (e / c)**((t - (T - A)) / A),   T = total_steps, W = warmup, C = cooldown, A = anneal,
    c = constant_fraction * peak_value, e = end_fraction * peak_value.

    Args:
      peak_value: the rate at the end of the warmup; at least 0.
      warmup: steps (500, "500st") or a fraction of the budget (0.05, "5%"), rounded down.
      cooldown: likewise.
      anneal: likewise; the constant rate takes the rest.
      constant_fraction: the constant rate over the peak; above 0.
      end_fraction: the last rate over the peak; above 0.
    Returns:
      lr(0) = 0 if the warmup has an update;
      lr(total_steps) = end_fraction * peak_value if anneal has one; constant after.
    Raises:
      ValueError: if a concrete number is outside what is allowed, or the phases do not fit into total_steps.
    Example:
      >>> schedule = infinite(1.0, total_steps=1000)
      >>> print(f"{schedule(100):.2f} {schedule(250):.2f} {schedule(400):.2f} {schedule(950):.4f}")
      1.00 0.65 0.30 0.0548

    Source:
      Ibrahim et al., arXiv:2403.08763, section 7.4.
    """
    check_number("peak_value", peak_value, at_least=0.0)
    gamma = logarithm("end_fraction", end_fraction) - logarithm("constant_fraction", constant_fraction)
    level: Any = peak_value * constant_fraction
    down = rising.Rise(level, 1, profiles.cosine(), init_value=peak_value)  # from peak to level; it ends no cycle
    parts = [
        ("warmup", rising.warmup(peak_value, total_steps=1), warmup),
        ("cooldown", down, cooldown),
        ("hold", rising.hold(level), "rest"),
        ("anneal", decay(level, profile=profiles.exponential(gamma), total_steps=1), anneal),
    ]
    return phases(parts, total_steps)


def demon(init_value: Number = 0.9, *, total_steps: Number, sampling: Sampling | str | None = None) -> Decay:
    """Demon: momentum that decays to 0 so that a gradient's whole future weight falls linearly.

    m(t) = init_value * w / ((1 - init_value) + init_value * w),   w = 1 - t / total_steps.

    Args:
      init_value: momentum of the first update; in [0, 1).
      total_steps: budget in updates; at least 1. May be a traced array.
      sampling: when it is sampled; every update by default.
    Returns:
      int step of any shape -> float32 of that shape. m(0) = init_value, m(total_steps) = 0, constant after.
    Example:
      >>> print(f"{demon(total_steps=100)(50):.6f}")   # 0.45 / 0.55
      0.818182

    Source:
      Chen, Wolfe, Li, Kyrillidis, "Demon", arXiv:1910.04952, equation 1: init_value times REX with d = init_value.
    """
    check_number("init_value", init_value, at_least=0.0, below=1.0)
    return decay(init_value, profile=profiles.rex(init_value), total_steps=total_steps, sampling=sampling)
