"""`jaxhdr serve`: a web page on this machine that turns photographs into HDR images."""

import argparse
import importlib.util
import sys
import webbrowser
from collections.abc import Sequence
from typing import Final

from jaxhdr.cli.arguments import Parser, add_model, count_of, model_settings
from jaxhdr.errors import UserError, check_count

NAME: Final = "serve"

_PORT: Final = 8765


def run(arguments: Sequence[str]) -> int:
    """Returns the exit status of the subcommand, which runs until it is interrupted.

    Raises:
      UserError: the command line is wrong, the extra is missing, or the port or the
        model cannot be used.
    """
    options = _parser().parse_args(arguments)
    for name in ("max_size", "max_photographs", "max_megapixels", "max_kept"):
        check_count(f"--{name.replace('_', '-')}", getattr(options, name))
    _check_extra()
    from jaxhdr.app import running
    from jaxhdr.app.limits import MEGABYTE, Limits
    from jaxhdr.app.security import is_loopback

    limits = Limits(
        upload_bytes=options.max_size * MEGABYTE,
        photographs=options.max_photographs,
        kept_bytes=options.max_kept * MEGABYTE,
        pixels=options.max_megapixels * 10**6,
    )
    if not is_loopback(options.host):
        sys.stderr.write(
            f"jaxhdr: warning: --host {options.host} lets everyone on the network open "
            "the page, see all photographs and send their own, without a password and "
            "unencrypted\n"
        )

    def announce(address: str) -> None:
        sys.stderr.write(
            f"jaxhdr serves {address} (Ctrl-C ends it; nothing is kept after that)\n"
        )
        if options.open:
            webbrowser.open(address)

    running.serve(
        model_settings(options),
        host=options.host,
        port=options.port,
        limits=limits,
        announce=announce,
    )
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog=f"jaxhdr {NAME}",
        description="Serves a web page on this machine: drop photographs on it, look "
        "at their reconstructions, and download them in every format. Photographs do "
        "not leave the machine, and nothing is kept after the end. It needs the extra "
        "app.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on (default: 127.0.0.1, which only this machine "
        "reaches); any other lets the network in, without a password",
    )
    parser.add_argument(
        "--port",
        type=count_of("ports"),
        default=_PORT,
        metavar="PORT",
        help=f"port to listen on; 0 takes a free one (default: {_PORT})",
    )
    parser.add_argument(
        "--open", action="store_true", help="open the page in the browser"
    )
    parser.add_argument(
        "--max-size",
        type=count_of("megabytes"),
        default=200,
        metavar="MB",
        help="largest photograph in megabytes (default: 200)",
    )
    parser.add_argument(
        "--max-megapixels",
        type=count_of("megapixels"),
        default=64,
        metavar="N",
        help="most megapixels of a photograph (default: 64)",
    )
    parser.add_argument(
        "--max-photographs",
        type=count_of("photographs"),
        default=24,
        metavar="N",
        help="most photographs in the list; a new one takes the place of the oldest "
        "that is done (default: 24)",
    )
    parser.add_argument(
        "--max-kept",
        type=count_of("megabytes"),
        default=4000,
        metavar="MB",
        help="most megabytes of results that are kept in a temporary folder while the "
        "server runs; the oldest go first (default: 4000)",
    )
    add_model(parser)
    return parser


def _check_extra() -> None:
    """Checks that the libraries of the server are installed.

    Raises:
      UserError: they are not.
    """
    for name in ("starlette", "uvicorn"):
        if importlib.util.find_spec(name) is None:
            raise UserError(
                f"jaxhdr {NAME} needs {name}, which is not installed; run "
                "pip install 'jaxhdr[app]'"
            )
