"""The table of commands, and the help that comes from it."""
from __future__ import annotations

import difflib
from dataclasses import dataclass


@dataclass(frozen=True)
class Command:
    """A command of this package."""

    module: str
    summary: str


COMMANDS = {
    "push": Command("tensord.commands.push", "Deploy a model file, a folder or a Python file on a server"),
    "run": Command("tensord.commands.run", "Call a model once, with values and files from the command line"),
    "ls": Command("tensord.commands.ls", "List the models of a server, their states and reasons"),
    "ps": Command("tensord.commands.ps", "Show what runs: workers, memory, requests"),
    "logs": Command("tensord.commands.logs", "Show what a model has written, and with -f what it writes"),
    "rollout": Command("tensord.commands.rollout", "Show or set which version of a model answers, and how often"),
    "diff": Command("tensord.commands.diff", "Show how the answers of a model's shadow differ"),
    "pull": Command("tensord.commands.pull", "Fetch a model's files from a server"),
    "environments": Command("tensord.commands.environments", "List the Python environments of a server, remove unused ones"),
    "rm": Command("tensord.commands.rm", "Unload a model and remove its files from a server"),
}

# Of the server program.
SERVER_COMMANDS = {
    "serve": "Serve the model file, model folder or folder of models at a path",
    "token": "Make, list and revoke the tokens with which others may use a server",
    "routes": "List what the server answers to, and the scope that each needs",
    "sandbox": "Say which layers the sandbox has on this machine, and what is missing",
    "config": "Show every setting that serve would have, and where it comes from",
    "tritonserver": "Serve, started with the flags of tritonserver",
    "mlserver": "Serve, started with the variables of mlserver",
    "completion": "Write a script that makes the shell complete commands and options",
    "help": "Show this help, or that of a command",
}


def overview(has_server: bool) -> str:
    """What `tensord --help` prints."""
    serve = "Commands that serve:" if has_server else \
        "Commands that serve (the server runs on Linux: pip install tensord there):"
    rows = lambda table: [f"  {name:14}{summary}" for name, summary in table.items()]  # noqa: E731
    return "\n".join([
        "usage: tensord COMMAND [ARGUMENT…]        tensord COMMAND --help",
        "",
        "Commands that use a server:",
        *rows({name: one.summary for name, one in COMMANDS.items()}),
        "",
        serve,
        *rows(SERVER_COMMANDS),
        "",
        "Which server: --to http://HOST:8000, else the variable TENSORD_URL, else this machine's.",
        "Who asks: the variable TENSORD_TOKEN, or --token; a server of your own on this machine needs none.",
        "",
        "  tensord serve iris.onnx                              on the big machine",
        "  tensord push iris.onnx --to http://gpu-box:8000      or from the laptop",
        "  tensord run iris '[5.1, 3.5, 1.4, 0.2]' --to http://gpu-box:8000",
        "",
        "Exit status: 0 done, 1 failed, 2 given wrongly.",
    ])


def suggestion(word: str) -> str:
    """"; did you mean …", for a word that is no command."""
    near = difflib.get_close_matches(word, [*COMMANDS, *SERVER_COMMANDS], n=1)
    return f"; did you mean '{near[0]}'?" if near else "; see tensord --help"
