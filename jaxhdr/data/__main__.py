"""Names the command that replaced `python -m jaxhdr.data build NAME`."""

import sys

if __name__ == "__main__":
    sys.stderr.write(
        "error: `jaxhdr data build NAME` replaced this command; it has the same "
        "options\n"
    )
    sys.exit(2)
