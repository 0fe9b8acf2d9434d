"""Checks what a machine can check of style and structure; `./dev lint`.

    lint.py [--all] [--figures] [--root FOLDER]

Each rule is a function that yields findings, and stands in RULES. `--all` adds the slow ones
(clang-tidy, cppcheck, gcc's and clang's analyzers: analyzers.py). `--figures` prints the tree's measures (figures.py) and checks nothing.
Needs nothing but Python's standard library and, for the last rules, the tools they run.
"""
import argparse
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import analyzers
from csource import Source

FUNCTION_LINES = 100
FILE_LINES = 800
DOCUMENTED_SHARE = 0.95
BANNED_CALLS = "strcpy strcat stpcpy sprintf vsprintf gets alloca system popen strtok atoi atol atof"
C_FOLDERS = ("include", "src", "engines", "fuzz", "bench", "tests")
TEXT_SUFFIXES = {".c", ".cc", ".h", ".py", ".sh", ".md", ".txt", ".build", ".yaml", ".proto"}
UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b")


@dataclass
class Finding:
    """Why the tree is refused."""

    path: Path
    line: int
    text: str

    def __str__(self):
        return f"{self.path}:{self.line}: {self.text}"


class Tree:
    """The files of the project; paths are relative to its root."""

    def __init__(self, root):
        self.root = Path(root)
        self.paths = sorted(self.walk())
        self.sources = [
            Source(path, self.read(path))
            for path in self.paths
            if path.suffix in (".c", ".h") and path.parts[0] in C_FOLDERS
        ]

    def walk(self):
        """All files but hidden folders' and builds'."""
        for folder, names, files in os.walk(self.root):
            names[:] = [n for n in names if not n.startswith((".", "build")) and n not in ("__pycache__", "dist")]
            yield from (Path(folder, name).relative_to(self.root) for name in files)

    def read(self, path):
        return (self.root / path).read_text(encoding="utf-8", errors="replace")

    def under(self, folder):
        """The C files below a folder of the root."""
        return [source for source in self.sources if source.path.parts[0] == folder]

    def modules(self):
        """The table of tools/modules.txt: a module's name and the set of those it may include."""
        table = {}
        for line in self.read("tools/modules.txt").splitlines():
            name, colon, allowed = line.partition("#")[0].partition(":")
            if colon:
                table[name.strip()] = set(allowed.split())
        for name, allowed in table.items():
            table[name] = set(table) if "*" in allowed else allowed | {name}
        return table


def module_graph(tree):
    """Includes in src/ keep to the table, and are written from src/."""
    table = tree.modules()
    for source in tree.under("src"):
        module = source.path.parts[1]
        if module not in table:
            yield Finding(source.path, 1, f"module '{module}' is not in tools/modules.txt")
            continue
        for line, name in source.includes():
            target = name[1:-1].split("/")[0]
            if name[0] == "<" or target == "tensord":
                continue
            if "/" not in name:
                yield Finding(source.path, line, f"{name} is not written from src/")
            elif target not in table[module]:
                yield Finding(source.path, line, f"module '{module}' may not include '{target}'")


def module_cycles(tree):
    """The table itself has no cycle: taking away modules that need nothing else must empty it."""
    table = {name: allowed - {name} for name, allowed in tree.modules().items()}
    while free := {name for name, allowed in table.items() if not allowed & set(table)}:
        table = {name: allowed for name, allowed in table.items() if name not in free}
    if table:
        yield Finding(Path("tools/modules.txt"), 1, "a cycle among: " + " ".join(sorted(table)))


def engine_includes(tree):
    """Engines see the public header, the channel's layout file, the system's headers and their own files.

    engines/python/module.c alone sees the host, which it links.
    """
    shared = {'"tensord/engine.h"', '"worker/channel_layout.h"'}
    host = {'"worker/host.h"', '"worker/worker_main.h"'}
    for source in tree.under("engines"):
        for line, name in source.includes():
            inside = tree.root / "engines" / name[1:-1], tree.root / source.path.parent / name[1:-1]
            seen = shared | host if source.path == Path("engines/python/module.c") else shared
            if name[0] == '"' and name not in seen and not any(p.exists() for p in inside):
                yield Finding(source.path, line, f"an engine may not include {name}")


def function_length(tree):
    """No function is longer than FUNCTION_LINES."""
    for source in tree.sources:
        for function in source.functions():
            if function.length > FUNCTION_LINES:
                text = f"{function.name} has {function.length} lines, more than {FUNCTION_LINES}"
                yield Finding(source.path, function.first_line, text)


def file_length(tree):
    """No file of code is longer than FILE_LINES."""
    for path in tree.paths:
        if path.suffix in (".c", ".h", ".cc", ".py", ".sh"):
            count = tree.read(path).count("\n")
            if count > FILE_LINES:
                yield Finding(path, count, f"{count} lines, more than {FILE_LINES}")


def documented_prototypes(tree):
    """Every prototype of the public headers has its comment, and nearly all in src/."""
    for folder, share in (("include", 1.0), ("src", DOCUMENTED_SHARE)):
        bare, total = undocumented(tree, folder)
        if total and len(bare) > total * (1 - share):
            yield from bare


def undocumented(tree, folder):
    """Findings for the prototypes below a folder that have no comment, and the count of all."""
    bare, total = [], 0
    for source in tree.under(folder):
        for prototype in source.prototypes() if source.path.suffix == ".h" else ():
            total += 1
            if not prototype.documented:
                bare.append(Finding(source.path, prototype.line, f"{prototype.name} has no comment"))
    return bare, total


def unfinished(tree):
    """No note of work to be done: that belongs where work is planned."""
    for path in tree.paths:
        if path.suffix in TEXT_SUFFIXES:
            for number, line in enumerate(tree.read(path).splitlines(), 1):
                if match := UNFINISHED.search(line):
                    yield Finding(path, number, f"{match.group()} in the tree")


def banned_calls(tree):
    """No call that cannot be told how much room there is, or whose failure cannot be seen."""
    pattern = re.compile(rf"(?<![\w.>])({BANNED_CALLS.replace(' ', '|')})\s*\(")
    for source in tree.sources:
        for match in pattern.finditer(source.code):
            yield Finding(source.path, source.line_at(match.start()), f"{match.group(1)} is banned")


def opening_comment(tree):
    """A file opens with what it is for."""
    for source in tree.sources:
        if not source.text.startswith("/*"):
            yield Finding(source.path, 1, "does not open with a block comment")


def header_guard(tree):
    """A header's guard is its path."""
    for source in tree.sources:
        if source.path.suffix != ".h":
            continue
        parts = source.path.parts[1:] if source.path.parts[0] in ("src", "include") else source.path.parts
        guard = re.sub(r"\W", "_", "_".join(parts)).upper()
        guard = guard if guard.startswith("TENSORD_") else "TENSORD_" + guard
        if not re.search(rf"^#ifndef {guard}\n#define {guard}\n", source.text, re.MULTILINE):
            yield Finding(source.path, 1, f"is not guarded by {guard}")


def blanks(tree):
    """No tab, no blank at a line's end, one newline at a file's end."""
    for source in tree.sources:
        for number, line in enumerate(source.lines, 1):
            if "\t" in line or line != line.rstrip():
                yield Finding(source.path, number, "a tab, or a blank at the end")
        if not source.text.endswith("\n") or source.text.endswith("\n\n"):
            yield Finding(source.path, len(source.lines), "does not end with one newline")


def folder_readme(tree):
    """Each folder at the top, and each folder of code, has its page."""
    folders = {s.path.parent for s in tree.sources if s.path.parts[0] in ("src", "engines", "fuzz", "bench")}
    folders |= {Path(path.parts[0]) for path in tree.paths if len(path.parts) > 1}
    for folder in sorted(folders):
        if not (tree.root / folder / "README.md").exists():
            yield Finding(folder / "README.md", 1, "is missing")


def named_files(tree):
    """What the pages about the source name is there: files, and in ARCHITECTURE.md every module."""
    names = {part for path in tree.paths for part in (path.name, str(path))}
    pages = [p for p in tree.paths if p == Path("ARCHITECTURE.md") or (p.name == "README.md" and p.parts[0] == "src")]
    for page in pages:
        for number, line in enumerate(tree.read(page).splitlines(), 1):
            for name in re.findall(r"`([\w./-]+\.[ch])`", line):
                if name not in names and not any(str(path).endswith("/" + name) for path in tree.paths):
                    yield Finding(page, number, f"'{name}' is not there")
    if Path("ARCHITECTURE.md") in pages:
        text = tree.read("ARCHITECTURE.md")
        for module in sorted({s.path.parts[1] for s in tree.sources if s.path.parts[0] == "src"}):
            if f"`{module}`" not in text:
                yield Finding(Path("ARCHITECTURE.md"), 1, f"does not name the module '{module}'")


def run_tool(tree, *command):
    """Runs a checker; what it prints are findings when it exits with anything but 0."""
    try:
        done = subprocess.run(command, cwd=tree.root, capture_output=True, text=True)
    except FileNotFoundError:
        yield Finding(Path(command[0]), 0, "is not installed")
        return
    if done.returncode != 0:
        # Of each message the first line will do; the rest is a picture of the code.
        text = done.stdout + done.stderr
        lines = re.findall(r"^\S+:\d+:\d+: (?:warning|error|style|performance|portability).*", text, re.MULTILINE)
        for line in dict.fromkeys(lines or [text.strip()]):
            yield Finding(Path(command[0]), 0, line)


def formatting(tree):
    """clang-format would change nothing."""
    paths = [str(source.path) for source in tree.sources]
    if paths:
        yield from run_tool(tree, "clang-format-19", "--dry-run", "-Werror", *paths)


def clang_tidy(tree):
    """clang-tidy with the checks of .clang-tidy, but for those of clang's analyzer, which runs by itself."""
    ours = rf"{re.escape(str(tree.root))}/({'|'.join(C_FOLDERS)})/.*[.]c$"
    yield from run_tool(tree, "run-clang-tidy-19", "-quiet", "-p", "build", "-checks=-clang-analyzer-*", ours)


def cppcheck(tree):
    """cppcheck's warnings; .clang-tidy has the style."""
    options = "-q --inline-suppr --error-exitcode=1 --enable=warning,portability --std=c11 -j2 -Isrc -Iinclude"
    suppressed = "--suppress=normalCheckLevelMaxBranches", "--template={file}:{line}:{column}: {severity}: {message}"
    folders = [folder for folder in C_FOLDERS if (tree.root / folder).exists()]
    yield from run_tool(tree, "cppcheck", *options.split(), *suppressed, *folders)


def gcc_analyzer(tree):
    """gcc -fanalyzer."""
    yield from (Finding(*found) for found in analyzers.gcc(tree.root))


def clang_analyzer(tree):
    """What scan-build finds."""
    yield from (Finding(*found) for found in analyzers.clang(tree.root))


RULES = [
    module_graph,
    module_cycles,
    engine_includes,
    function_length,
    file_length,
    documented_prototypes,
    unfinished,
    banned_calls,
    opening_comment,
    header_guard,
    blanks,
    folder_readme,
    named_files,
    formatting,
]
SLOW_RULES = [clang_tidy, cppcheck, gcc_analyzer, clang_analyzer]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--all", action="store_true", help="also run the slow rules")
    parser.add_argument("--figures", action="store_true", help="print the tree's measures")
    parser.add_argument("--root", default=Path(__file__).resolve().parent.parent, type=Path)
    arguments = parser.parse_args()
    tree = Tree(arguments.root)
    if arguments.figures:
        import figures

        figures.show(tree)
        return
    rules = RULES + (SLOW_RULES if arguments.all else [])
    findings = [(rule, finding) for rule in rules for finding in rule(tree)]
    for rule, finding in findings:
        print(f"{finding} [{rule.__name__}]")
    print(f"lint: {len(tree.sources)} C files, {len(rules)} rules, {len(findings)} findings")
    sys.exit(1 if findings else 0)


if __name__ == "__main__":
    main()
