"""`tensord pull`."""
from __future__ import annotations

from typing import Sequence

from tensord.commands.common import Parser, connected
from tensord.commands.table import COMMANDS


def main(arguments: Sequence[str]) -> int:
    """Fetches a model's files."""
    parser = Parser("pull", COMMANDS["pull"].summary)
    parser.add_model()
    parser.add_argument("folder", metavar="FOLDER", nargs="?", help="where they go; it must not be there yet [MODEL]")
    parser.add_server_options()
    given = parser.parse_args(arguments)
    connected(given).pull(given.model, given.folder, given.version)
    return 0
