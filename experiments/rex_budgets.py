"""REX against five other schedules under six budgets: table 4 of the REX paper, SGDM half.

Claim     REX is the best or among the best schedules at every budget, most clearly at 1 % and 5 %.
Source    Chen, Wolfe, Kyrillidis, MLSys 2022, arXiv:2107.04197: RN20-CIFAR10-SGDM, 300 epochs at most, batch 128, 3
          seeds, the rate tuned in multiples of 3 for every schedule and budget. Not stated there, chosen here: weight
          decay 5e-4, 4-pixel pad-crop and mirroring, and that the rate is chosen on 10 % of the training set held out.
Command   python experiments/rex_budgets.py --data-dir FOLDER
Time      41,256 epochs: about 100 hours at 5,000 images/s. `--budgets 1% --seeds 1 --peak-values 0.1` is 18 of them:
          about 40 minutes on two CPU cores. A study that was stopped goes on where it was.
Expected  test error in % at 1 % and 5 % of 300 epochs: step 32.14, 14.94; cosine 28.49, 13.05; onecycle 40.14, 18.93;
          linear 28.70, 13.09; exponential 31.31, 14.85; rex 27.94, 12.86. All of them stand beside ours in the table.
"""

import sys

from lrsched import cli

WORDS = """
    study --data cifar10 --model resnet20 --batch-size 128 --max-epochs 300 --weight-decay 5e-4
    --schedules step cosine onecycle:variant=rex_paper linear exponential rex --budgets 1% 5% 10% 25% 50% 100%
    --peak-values 0.03 0.1 0.3 1.0 --seeds 3 --out runs/rex_budgets
"""

if __name__ == "__main__":
    sys.exit(cli.main([*WORDS.split(), *sys.argv[1:]]))
