"""`tensord diff`."""
from __future__ import annotations

import json
from typing import Any, Mapping, Sequence

from tensord.commands.common import Parser, connected, print_table, safe
from tensord.commands.table import COMMANDS

_SIDES = ("", "ANSWERED", "FAILED", "P50 MS", "P99 MS")
_TENSORS = ("OUTPUT", "TYPE", "ANSWERS", "DIFFERENT", "UNEQUAL ELEMENTS", "MAX ABS", "MAX REL", "NOTE")


def main(arguments: Sequence[str]) -> int:
    """Shows how a shadow's answers differ."""
    parser = Parser("diff", COMMANDS["diff"].summary)
    parser.add_argument("model", metavar="MODEL", help="the model's name")
    parser.add_argument("--json", action="store_true", help="print what the server says, for programs")
    parser.add_server_options()
    given = parser.parse_args(arguments)
    shown = connected(given).diff(given.model)
    print(json.dumps(shown)) if given.json else _print(shown)
    return 0


def _print(shown: Mapping[str, Any]) -> None:
    copied, skipped = shown["copied"], sum(shown["skipped"].values())
    print(f"version {shown['version']}, {copied} requests in {shown['seconds']:.0f} s: {shown['equal']} answered alike, "
          f"{shown['different']} otherwise")
    if skipped:
        reasons = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in shown["skipped"].items() if count)
        print(f"{skipped} more were not copied: {reasons}")
    print_table(_SIDES, [_side(name, shown[name]) for name in ("primary", "shadow")])
    if shown["last_failure"]:
        print(f"the shadow's last failure: {safe(shown['last_failure'])}")
    if shown["tensors"]:
        print_table(_TENSORS, [_tensor(row) for row in shown["tensors"]])


def _side(name: str, side: Mapping[str, Any]) -> tuple:
    return name, side["answered"], side["failed"], f"{side['p50_ms']:.3g}", f"{side['p99_ms']:.3g}"


def _tensor(row: Mapping[str, Any]) -> tuple:
    number = row["datatype"] not in ("BYTES", "BOOL")
    share = f"{100 * row['unequal'] / row['elements']:.3g} %" if row["elements"] else ""
    note = f"{row['incomparable']} of another shape or datatype, or missing" if row["incomparable"] else ""
    return (row["name"], row["datatype"], row["answers"], row["different"], share,
            f"{row['max_absolute']:.3g}" if number else "", f"{row['max_relative']:.3g}" if number else "", note)
