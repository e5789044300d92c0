"""Profile x sampling rate: RN20's (or RN38's) part of table 2 of the REX paper, one shared rate.

Claim     How often the rate is read off its profile decides which profile is best: at 50-75 (two drops) the steep one,
          at every update REX; for REX the two are eight points apart.
Source    Chen, Wolfe, Kyrillidis, MLSys 2022, arXiv:2107.04197, table 2: SGDM, "holding the learning rate constant",
          15, 75 and 300 epochs. Its row "Step" is an exponential profile of a constant that is not given; exp(-5p)
          fits the levels of its figure 2. The rate is not given either; 0.1 is that of table 4 for most schedules.
Command   python experiments/rex_table2.py --data-dir FOLDER [--model resnet38] [--scale paper] [--dry-run]
Time      135 epochs a seed for ResNet-20, those that are shared made once: four to eight hours on two CPU cores; with
          cosine, the ordinary step, exp(-3p) and 1cycle it is the 5 % column of table 4 at one rate as well.
Expected  test error in % at 15 epochs, RN20: 50-75 step 14.48, linear 16.96, rex 20.79; every update 19.19, 13.09,
          12.86. RN38: rex 18.47 at 50-75, 10.95 at every update.
"""

import sys
from collections.abc import Sequence

import scales

COMMON = "--data cifar10 --model resnet20 --batch-size 128 --max-epochs 300 --shared-rate 0.1"
PROFILES = ("linear", "rex", "exponential:gamma=-5")
SAMPLINGS = ("50-75", "33-66", "25-50-75", "10-10", "5-25", "1-100", "every")


def words(samplings: Sequence[str]) -> str:
    """Every profile at every sampling rate."""
    return " ".join(name if each == "every" else f"{name}@{each}" for each in samplings for name in PROFILES)


SCALES = {
    "cpu": f"""{COMMON} --schedules {words(("50-75", "every"))} cosine step exponential
        onecycle:variant=rex_paper constant --budgets 5% --seeds 0-0 --workers 2 --out runs/rex_table2
        --question 'Does the sampling rate turn the order of the profiles round?'""",
    "paper": f"""{COMMON} --schedules {words(SAMPLINGS)} step --budgets 5% 25% 100% --seeds 3
        --out runs/rex_table2_paper --question 'Does table 2 of the REX paper hold?'""",
}


def main(words: Sequence[str] | None = None) -> int:
    return scales.study(__doc__, SCALES, words)


if __name__ == "__main__":
    sys.exit(main())
