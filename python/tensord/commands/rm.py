"""`tensord rm`."""
from __future__ import annotations

from typing import Sequence

from tensord.commands.common import Parser, connected, version
from tensord.commands.table import COMMANDS


def main(arguments: Sequence[str]) -> int:
    """Removes models."""
    parser = Parser("rm", COMMANDS["rm"].summary)
    parser.add_argument("models", metavar="MODEL", nargs="+", help="a model's name")
    parser.add_argument("--version", type=version, metavar="N", help="only this version of it")
    parser.add_server_options()
    given = parser.parse_args(arguments)
    server = connected(given)
    for name in given.models:
        server.remove(name, given.version)
        print(f"{name}{f' version {given.version}' if given.version else ''} is removed")
    return 0
