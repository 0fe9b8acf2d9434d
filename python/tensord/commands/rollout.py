"""`tensord rollout`."""
from __future__ import annotations

import json
from typing import Any, Mapping, Sequence

from tensord.commands.common import Parser, connected, print_table
from tensord.commands.table import COMMANDS

_TITLES = ("VERSION", "WEIGHT", "SHARE", "STATE", "REQUESTS")
_EXAMPLES = """\
  tensord rollout iris                 shows it
  tensord rollout iris 1=95 2=5        version 2 answers one request in twenty
  tensord rollout iris 1=100           back to version 1, at once
  tensord rollout iris --reset         what the model's config says"""


def main(arguments: Sequence[str]) -> int:
    """Shows or sets which version answers."""
    parser = Parser("rollout", COMMANDS["rollout"].summary, epilog=_EXAMPLES)
    parser.add_argument("model", metavar="MODEL", help="the model's name")
    parser.add_argument("weights", metavar="VERSION=WEIGHT", nargs="*",
                        help="a version's share of the requests that name none, relative to the others'")
    parser.add_argument("--reset", action="store_true", help="go back to what the model's config says")
    parser.add_argument("--json", action="store_true", help="print what the server says, for programs")
    parser.add_server_options()
    given = parser.parse_args(arguments)
    weights = dict(_weight(parser, text) for text in given.weights)
    if given.reset and weights:
        parser.error("--reset takes no weights")
    if len(weights) < len(given.weights):
        parser.error("a version is given twice")
    server = connected(given)
    if given.reset:
        shown = server.reset_rollout(given.model)
    else:
        shown = server.set_rollout(given.model, weights) if weights else server.rollout(given.model)
    print(json.dumps(shown)) if given.json else _print(shown)
    return 0


def _weight(parser: Parser, text: str) -> tuple[int, int]:
    version, _, weight = text.partition("=")
    if not version.isdecimal() or not weight.isdecimal():
        parser.error(f"'{text}' is not VERSION=WEIGHT, such as 2=5")
    return int(version), int(weight)


def _print(shown: Mapping[str, Any]) -> None:
    print_table(_TITLES, [_row(row) for row in shown["versions"]])
    said = {"config": "as the model's config says", "api": "as was set; --reset goes back to the model's config",
            "default": "no weights: the newest version that is ready answers"}
    print(said.get(shown["from"], shown["from"]))
    if shown["sticky"]:
        print(f"sticky by {shown['sticky']}")
    if shown["shadow"]:
        print(f"version {shown['shadow']['version']} is the shadow of {shown['shadow']['share']:.4g} of the requests: "
              f"tensord diff {shown['name']}")


def _row(row: Mapping[str, Any]) -> tuple:
    return row["version"], row["weight"], f"{100 * row['share']:.4g} %", row["state"], row["requests"]
