"""`python -m jaxnets` and the `jaxnets` command."""

import sys

from jaxnets.cli import main

if __name__ == "__main__":
    sys.exit(main())
