"""Entries and sentences of tables, for the scripts that write them: means, differences, which ways are told apart."""

from collections.abc import Iterable, Mapping

from lrsched.analysis import pairs, statistics


def spread(errors: Iterable[float]) -> str:
    """Mean and sd of errors, in %."""
    values = [100 * error for error in errors]
    sd = statistics.sd(values)
    return f"{statistics.mean(values):.2f}" + ("" if sd is None else f" ± {sd:.2f}")


def minus(first: Mapping[int, float], second: Mapping[int, float]) -> str:
    """The mean difference, in %, and its 95 % interval."""
    if first == second:
        return "-"
    found = statistics.compare(first, second)
    bounds = f" [{', '.join(f'{100 * bound:.2f}' for bound in found.interval)}]" if found.interval else ""
    return f"{100 * found.mean:.2f}{bounds}"


def name_best(arms: Mapping[str, Mapping[int, float]], measure: str) -> str:
    """Which arm has the least mean over its seeds, and which are not separated from it, in a sentence."""
    best = min(arms, key=lambda arm: statistics.mean(list(arms[arm].values())))
    apart = pairs.tell_apart(arms[best], {arm: each for arm, each in arms.items() if arm != best})
    alike = [arm for arm, separated in apart.items() if not separated]
    return (
        f"Least mean {measure}: {best}. Not separated from it (moderated paired t tests at 5 %, one family of all "
        f"pairs): {'; '.join(alike) or 'none'}."
    )
