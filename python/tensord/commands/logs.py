"""`tensord logs`."""
from __future__ import annotations

from typing import Sequence

from tensord.commands.common import Parser, connected, safe
from tensord.commands.table import COMMANDS


def main(arguments: Sequence[str]) -> int:
    """Shows a model's log."""
    parser = Parser("logs", COMMANDS["logs"].summary)
    parser.add_argument("model", metavar="MODEL", help="the model's name")
    parser.add_argument("-f", "--follow", action="store_true", help="go on with what it writes, until interrupted")
    parser.add_argument("-n", "--lines", type=int, default=100, metavar="N", help="how many of the last lines [100]")
    parser.add_server_options()
    given = parser.parse_args(arguments)
    for line in connected(given).logs(given.model, given.lines, given.follow):
        print(safe(line), flush=True)
    return 0
