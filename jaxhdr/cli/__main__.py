"""The `jaxhdr` command as `python -m jaxhdr.cli`."""

import sys

from jaxhdr.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
