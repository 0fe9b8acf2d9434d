"""What compilers find by walking along paths: gcc's -fanalyzer and clang's static analyzer, which is scan-build's.

Both see each C file of the build once, with its own flags. A finding is no finding when its line, or the one before,
names the check in a comment that says why: `/* -Wanalyzer-use-after-free: it is held */` for gcc,
`/* NOLINT(clang-analyzer-core.NullDereference): … */` or NOLINTNEXTLINE for clang, which clang-tidy reads too."""
import json
import os
import re
import shlex
import subprocess
from concurrent.futures import ThreadPoolExecutor

# gcc 12 loses sight of what is stored behind a pointer, and takes what a struct owns for lost: dozens of findings, none of
# them true. Leaks are found by clang's analyzer, by LeakSanitizer, and by making each allocation fail.
GCC_FLAGS = ("-fanalyzer", "-Wno-analyzer-malloc-leak", "-fdiagnostics-path-format=none")

# unix.StdCLibraryFunctions takes every descriptor for -1: .clang-tidy leaves it out, too.
CLANG_FLAGS = ("-Xclang", "-analyzer-output=text", "-Xclang", "-analyzer-disable-checker=unix.StdCLibraryFunctions")

DROPPED = {"-MD", "-Werror", "-fdiagnostics-color=always"}
DROPPED_WITH_VALUE = {"-MQ", "-MF", "-o"}
OWN_FOLDERS = ("src", "engines", "fuzz", "tests", "bench")
WARNING = re.compile(r"^(\S+?):(\d+):\d+: warning: (.*) \[(?:CWE-\d+\] \[)?([\w.+-]+)\]$", re.MULTILINE)


def without_outputs(words):
    """The command without what it writes and without what a warning must not do."""
    words, kept = iter(words), []
    for word in words:
        if word in DROPPED_WITH_VALUE:
            next(words)
        elif word not in DROPPED:
            kept.append(word)
    return kept


def commands(root):
    """{path from the root: (words, folder)}: how the build compiles each file of ours."""
    entries = json.loads((root / "build/compile_commands.json").read_text())
    found = {}
    for entry in entries:
        path = os.path.relpath(os.path.join(entry["directory"], entry["file"]), root)
        if path.split(os.sep)[0] in OWN_FOLDERS:
            found.setdefault(path, (without_outputs(shlex.split(entry["command"])), entry["directory"]))
    return found


def excused(root, path, line, check):
    """Does a comment at the place, or of a line or two before it, name the check?"""
    lines = (root / path).read_text(errors="replace").splitlines()[max(line - 3, 0):line]
    return any(check in text for text in lines)


def findings(root, change):
    """[(path, line, text)] of what the compiler says of every file; change(words) makes its command."""
    def analyze(job):
        words, folder = job
        done = subprocess.run(change(words), cwd=folder, capture_output=True, text=True, errors="replace")
        said = [(os.path.relpath(os.path.join(folder, file), root), int(line), f"{text} [{check}]", check)
                for file, line, text, check in WARNING.findall(done.stderr)]
        if done.returncode and not said:
            said = [(words[-1], 0, done.stderr.strip(), "")]
        return said

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        said = {one for found in pool.map(analyze, commands(root).values()) for one in found}
    return [(path, line, text) for path, line, text, check in sorted(said)
            if not (check and excused(root, path, line, check))]


def gcc(root):
    return findings(root, lambda words: [*words, "-o", os.devnull, *GCC_FLAGS])


def clang(root):
    return findings(root, lambda words: ["clang-19", *words[1:], "-w", "--analyze", *CLANG_FLAGS, "-o", os.devnull])
