"""`python -m lrsched`."""

import sys

from lrsched.cli import main

if __name__ == "__main__":
    sys.exit(main())
