"""REX against six other schedules under a small budget: a column of table 4 of the REX paper, SGDM half.

Claim     At 1 % of 300 epochs REX has the lowest error, then linear and cosine, then step and exponential; 1cycle is
          behind.
Source    Chen, Wolfe, Kyrillidis, MLSys 2022, arXiv:2107.04197: RN20-CIFAR10-SGDM, 300 epochs at most, 3 seeds, rates
          in multiples of 3; batch 128 is that of the authors' earlier paper (Demon, arXiv:1910.04952, appendix A). Not
          stated there, chosen here: weight decay 5e-4, 4-pixel pad-crop and mirroring, and that the rate of each
          schedule and budget is chosen by one seed on 10 % of the training set held out; other seeds then train at it
          on the whole training set, and are tested once.
Command   python experiments/rex_table4.py --data-dir FOLDER [--scale paper] [--dry-run]
Time      126 epochs: four to ten hours on two CPU cores. What is on record is not made again. The paper's scale
          has all six budgets and six rates: 36,000 epochs; the Adam half is all_budgets.py --scale paper.
Expected  printed test error in % at 1 %: rex 27.94 +- 0.46, linear 28.70, cosine 28.49, step 32.14, exponential 31.31,
          onecycle 40.14.
"""

import sys
from collections.abc import Sequence

import scales

COMMON = """
    --data cifar10 --model resnet20 --batch-size 128 --max-epochs 300
    --schedules rex linear cosine step exponential onecycle:variant=rex_paper constant
    --selection-seeds 0-0 --seeds 1-3
"""
SCALES = {
    "cpu": f"""{COMMON} --budgets 1% --peak-values 0.03 0.1 0.3 --workers 2 --out runs/rex_table4
        --question 'Is the order of the schedules under a small budget that of table 4 of the REX paper?'""",
    "paper": f"""{COMMON} --budgets 1% 5% 10% 25% 50% 100% --peak-values 0.003 0.01 0.03 0.1 0.3 1
        --out runs/rex_table4_paper --question 'Does table 4 of the REX paper hold?'""",
}


def main(words: Sequence[str] | None = None) -> int:
    return scales.study(__doc__, SCALES, words)


if __name__ == "__main__":
    sys.exit(main())
