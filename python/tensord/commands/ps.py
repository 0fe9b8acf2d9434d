"""`tensord ps`."""
from __future__ import annotations

import json
from typing import Any, Mapping, Sequence

from tensord.client.progress import human_size
from tensord.commands.common import Parser, connected, natural, print_table
from tensord.commands.table import COMMANDS

_TITLES = ("MODEL", "VERSION", "STATE", "WORKERS", "MEMORY", "RUNNING", "WAITING", "BATCH", "IDLE", "NOTE")


def main(arguments: Sequence[str]) -> int:
    """Shows what runs."""
    parser = Parser("ps", COMMANDS["ps"].summary)
    parser.add_server_options()
    parser.add_argument("--all", "-a", action="store_true", help="also versions that have no worker and are not loading")
    parser.add_argument("--json", action="store_true", help="print what the server says, for programs")
    given = parser.parse_args(arguments)
    rows = connected(given).status()
    if given.json:
        print(json.dumps({"models": rows}))
        return 0
    shown = [row for row in rows if given.all or row.get("workers") or str(row.get("state")).lower() == "loading"]
    print_table(_TITLES, [_row(row) for row in sorted(shown, key=natural)])
    return 0


def _row(row: Mapping[str, Any]) -> tuple:
    memory, idle_s = row.get("memory_bytes"), row.get("idle_seconds")
    note = row.get("reason") or ""
    if str(row.get("state")).lower() == "loading" and isinstance(row.get("progress"), (int, float)):
        note = f"{row['progress']:.0%} {note}"
    return (row.get("name"), row.get("version"), row.get("state"), _workers(row),
            human_size(memory) if memory else "", row.get("requests_running"), row.get("requests_waiting"),
            _batch(row), "" if idle_s is None else _span(float(idle_s)), note)


def _workers(row: Mapping[str, Any]) -> Any:
    """The worker processes; how many of those that are wanted serve, where that is not all."""
    ready, wanted = row.get("workers_ready"), row.get("workers_wanted")
    return f"{ready}/{wanted}" if wanted and wanted > 1 and ready != wanted else row.get("workers")


def _batch(row: Mapping[str, Any]) -> str:
    """The batches that the server has found to be best, and how many at once."""
    rows, slots = row.get("batch_rows"), row.get("slots")
    return f"{rows} × {slots}" if rows and slots else ""


def _span(seconds: float) -> str:
    """A span of time as people read it."""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds:.0f}s"
