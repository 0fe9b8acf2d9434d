"""`tensord ls`."""
from __future__ import annotations

import json
from typing import Sequence

from tensord.commands.common import Parser, connected, natural, print_table
from tensord.commands.table import COMMANDS


def main(arguments: Sequence[str]) -> int:
    """Lists the models of a server."""
    parser = Parser("ls", COMMANDS["ls"].summary)
    parser.add_server_options()
    parser.add_argument("--json", action="store_true", help="print the repository index as the server sends it, for programs")
    given = parser.parse_args(arguments)
    rows = connected(given).models()
    if given.json:
        print(json.dumps(rows))
        return 0
    print_table(("MODEL", "VERSION", "STATE", "ENGINE", "NOTE"),
                [(row.get("name"), row.get("version"), row.get("state"), row.get("engine"),
                  row.get("reason") or row.get("batching")) for row in sorted(rows, key=natural)])
    return 0
