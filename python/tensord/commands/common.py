"""What the commands share: their options, which server is meant, tables."""
from __future__ import annotations

import argparse
import difflib
import sys
from typing import Any, NoReturn, Sequence

from tensord.client.server import Server


class Parser(argparse.ArgumentParser):
    """Options of a command; mistakes are one sentence, and exit with 2."""

    def __init__(self, name: str, summary: str, **options: Any) -> None:
        super().__init__(prog=f"tensord {name}", description=summary, allow_abbrev=False,
                         formatter_class=argparse.RawDescriptionHelpFormatter, **options)

    def error(self, message: str) -> NoReturn:
        print(f"{self.prog}: {message}; see {self.prog} --help", file=sys.stderr)
        raise SystemExit(2)

    def parse_args(self, arguments: Any = None, namespace: Any = None) -> Any:
        given, unknown = self.parse_known_args(arguments, namespace)
        if unknown:
            options = [text for action in self._actions for text in action.option_strings]
            near = difflib.get_close_matches(unknown[0].partition("=")[0], options, n=1)
            if unknown[0].startswith("-"):
                self.error(f"unknown option '{unknown[0]}'" + (f", did you mean '{near[0]}'?" if near else ""))
            self.error(f"'{unknown[0]}' is one argument too many")
        return given

    def add_server_options(self) -> None:
        """--to and --token."""
        self.add_argument("--to", metavar="URL", help="the server's address, http://HOST:PORT, https://HOST or unix:PATH "
                                                      "[$TENSORD_URL, else http://127.0.0.1:8000]")
        self.add_argument("--token", help="who asks; better put into $TENSORD_TOKEN, since others can see options. "
                                          "A server of your own on this machine needs none")

    def add_model(self, what: str = "the model's name") -> None:
        """MODEL and --version."""
        self.add_argument("model", metavar="MODEL", help=what)
        self.add_argument("--version", type=version, metavar="N", help="a version of it")


def version(text: str) -> int:
    """A version's number, as argparse wants it."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is no version; versions are 1, 2, 3, …")
    return int(text)


def connected(given: Any, **options: Any) -> Server:
    """The server that the options name."""
    return Server(given.to, given.token, **options)


def safe(text: str) -> str:
    """A text of somebody else's, for a terminal: without control characters."""
    return "".join(c if c.isprintable() or c == "\t" else "?" for c in text)


def print_table(titles: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Columns as wide as they must be; those that are numbers stand at the right."""
    cells = [[safe("" if cell is None else str(cell)) for cell in row] for row in rows]
    widths = [max([len(title), *(len(row[i]) for row in cells)]) for i, title in enumerate(titles)]
    right = [bool(rows) and all(isinstance(row[i], (int, float)) or row[i] in (None, "") for row in rows)
             for i in range(len(titles))]
    for row in [list(titles), *cells]:
        line = "  ".join(cell.rjust(width) if at_right else cell.ljust(width)
                         for cell, width, at_right in zip(row, widths, right))
        print(line.rstrip())


def where(given: Any) -> str:
    """The --to of a line to paste."""
    return f" --to {given.to}" if given.to else ""


def natural(row: Any) -> Any:
    """The order of lists: by name, then by number of the version."""
    number = str(row.get("version") or "")
    return str(row.get("name")), int(number) if number.isdecimal() else 0
