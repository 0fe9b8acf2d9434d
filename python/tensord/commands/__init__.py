"""The command line: `tensord`, or `python -m tensord`.

Commands for clients are here; those that serve are the server program's, which a package for Linux carries (native.py).
"""
from __future__ import annotations

import importlib
import sys
from typing import Optional, Sequence

from tensord.commands import native
from tensord.commands.table import COMMANDS, SERVER_COMMANDS, overview, suggestion

FAILED, WRONGLY_GIVEN, INTERRUPTED = 1, 2, 130


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Runs a command; returns the exit status: 1 when it fails, 2 when it was given wrongly, 130 when interrupted."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a terminal of another character set shows '?' instead of failing
            stream.reconfigure(errors="replace")
    if not words or words[0] in ("-h", "--help") or words == ["help"]:
        print(overview(native.find() is not None))
        return 0 if words else WRONGLY_GIVEN
    if words[0] in ("version", "--version", "-V"):
        from tensord import __version__

        print(f"tensord {__version__}")
        return 0
    if words[0] == "help":
        words = [words[1], "--help"] if words[1] in COMMANDS else words
    if words[0] in COMMANDS:
        return _run(words[0], words[1:])
    if words[0] in SERVER_COMMANDS:
        return native.run(words)
    print(f"tensord: unknown command '{words[0]}'{suggestion(words[0])}", file=sys.stderr)
    return WRONGLY_GIVEN


def _run(name: str, arguments: Sequence[str]) -> int:
    from tensord.errors import Error

    try:
        command = importlib.import_module(COMMANDS[name].module)
        status = command.main(list(arguments))
        sys.stdout.flush()
        return status or 0
    except Error as error:
        return _complain(name, str(error))
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # whoever read the output has seen enough
        sys.stderr.close()
        return FAILED
    except OSError as error:
        return _complain(name, f"{error.filename}: {error.strerror}" if error.filename else str(error))


def _complain(name: str, sentence: str) -> int:
    from tensord.commands.common import safe

    sentence = "\n".join(map(safe, sentence.split("\n")))  # it may be a model's own
    print(f"tensord {name}: {sentence}", file=sys.stderr)
    return FAILED
