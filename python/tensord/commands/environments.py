"""`tensord environments`."""
from __future__ import annotations

import json
import time
from typing import Sequence

from tensord.client.progress import human_size
from tensord.commands.common import Parser, connected, print_table
from tensord.commands.table import COMMANDS

_TITLES = ("HASH", "SIZE", "USED", "MODELS", "MADE FROM")


def main(arguments: Sequence[str]) -> int:
    """Lists environments, and removes those that no model uses."""
    parser = Parser("environments", COMMANDS["environments"].summary)
    parser.add_argument("action", nargs="?", choices=("ls", "rm", "prune"), default="ls",
                        help="ls: list them; rm: remove some; prune: remove all that no model uses")
    parser.add_argument("hashes", metavar="HASH", nargs="*", help="of rm: which, as ls lists them")
    parser.add_server_options()
    parser.add_argument("--json", action="store_true", help="of ls: print what the server says, for programs")
    given = parser.parse_args(arguments)
    if (given.action == "rm") != bool(given.hashes):
        parser.error("rm takes the hashes of environments" if given.action == "rm" else f"{given.action} takes no hashes")
    server = connected(given)
    if given.action == "ls":
        rows = server.environments()
        if given.json:
            print(json.dumps({"environments": rows}))
        else:
            print_table(_TITLES, [(row["hash"], human_size(row["bytes"]), _date(row["used"]), " ".join(row["models"]), row["origin"])
                                  for row in rows])
        return 0
    for one in given.hashes or [None]:
        for name in server.remove_environments(one):
            print(f"{name} is removed")
    return 0


def _date(seconds: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
