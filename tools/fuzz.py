"""Runs the fuzz targets of fuzz/targets.txt and measures what their stored inputs reach; ./dev fuzz.

    [TARGET] [SECONDS]     libFuzzer, one target or each (60 seconds)
    --rounds MINUTES       the targets that have run least, a process per processor at the lowest
                           priority; the totals of fuzz/runs.tsv grow
    --store                adds to fuzz/corpus/ what was found and reaches something new
    --coverage [TARGET]    the lines that stored inputs reach; fails below 95 % of a target's sources
    --page                 writes the table in docs/security.md

Stored inputs lie in fuzz/seeds/TARGET/ (by hand) and fuzz/corpus/TARGET/ (found); new finds go to
build-fuzz/corpus/TARGET/, inputs that crash to build-fuzz/.
"""
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
THRESHOLD = 95
ROUND_SECONDS = 120
RUNS = ROOT / "fuzz" / "runs.tsv"
PAGE = ROOT / "docs" / "security.md"
MARKS = ("<!-- written by ./dev fuzz --page -->\n", "<!-- end -->\n")
LIMITS = ["-timeout=10", "-rss_limit_mb=2048", "-use_value_profile=0", "-print_final_stats=1"]


def read_targets():
    """The table: name -> sources."""
    rows = [line.split(": ") for line in (ROOT / "fuzz" / "targets.txt").read_text().splitlines()
            if line and not line.startswith("#")]
    return {name: sources.split() for name, _, sources in rows}


def stored(target):
    """The folders of a target's stored inputs."""
    folders = [ROOT / "fuzz" / kind / target for kind in ("seeds", "corpus")]
    return [folder for folder in folders if folder.is_dir()]


# ---- running ----


def fuzz(target, seconds, output=None):
    """Runs one target; returns its executions, seconds of processor time, and whether it found anything."""
    finds = ROOT / "build-fuzz" / "corpus" / target
    finds.mkdir(parents=True, exist_ok=True)
    log = tempfile.TemporaryFile()
    command = [ROOT / "build-fuzz" / "fuzz" / f"{target}_fuzz", f"-max_total_time={seconds}", *LIMITS,
               f"-artifact_prefix={ROOT}/build-fuzz/{target}-", finds, *stored(target)]
    process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    log.seek(0)
    text = log.read().decode(errors="replace")
    if output or process.returncode:
        print(text, file=output or sys.stderr, flush=True)
    executions = re.search(r"number_of_executed_units: (\d+)", text)
    cpu_s = usage.ru_utime + usage.ru_stime
    return int(executions[1]) if executions else 0, cpu_s, process.returncode != 0


def read_runs():
    """What was run ever: target -> [executions, seconds of processor time]."""
    rows = [line.split("\t") for line in RUNS.read_text().splitlines()[1:]] if RUNS.exists() else []
    return {name: [int(executions), float(cpu_s)] for name, executions, cpu_s in rows}


def add_run(runs, target, executions, cpu_s):
    """Adds a run to the totals, in the file too."""
    total = runs.setdefault(target, [0, 0])
    total[0] += executions
    total[1] += cpu_s
    rows = [f"{name}\t{runs[name][0]}\t{runs[name][1]:.0f}\n" for name in sorted(runs)]
    RUNS.write_text("target\texecutions\tcpu_s\n" + "".join(rows))


def least_run(names, runs):
    """The name of the target that has had the least processor time."""
    return min(names, key=lambda name: runs.get(name, (0, 0))[1])


def rounds(targets, minutes):
    """Each processor runs the target that has run least of those that wait, again and again. One that has found
    something does not wait again."""
    end = time.monotonic() + 60 * minutes
    runs, waiting, lock = read_runs(), set(targets), threading.Lock()
    broken = []
    os.nice(19)

    def take_turns(_):
        while (left_s := end - time.monotonic()) >= 1:
            with lock:
                if not waiting:
                    return
                name = least_run(waiting, runs)
                waiting.remove(name)
            executions, cpu_s, found = fuzz(name, min(ROUND_SECONDS, int(left_s)))
            with lock:
                add_run(runs, name, executions, cpu_s)
                (broken.append if found else waiting.add)(name)
                print(f"{name}\t{executions}\t{cpu_s:.1f}\t{'FINDING' if found else ''}", flush=True)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(take_turns, range(os.cpu_count())))
    return not broken


def store(target):
    """Merges what was found into the corpus: the fewest files that reach every edge. The old ones stay if they can."""
    finds = ROOT / "build-fuzz" / "corpus" / target
    corpus = ROOT / "fuzz" / "corpus" / target
    with tempfile.TemporaryDirectory() as merged:
        binary = ROOT / "build-fuzz" / "fuzz" / f"{target}_fuzz"
        folders = [folder for folder in (finds, *stored(target)) if folder.is_dir()]
        subprocess.run([binary, "-set_cover_merge=1", "-use_counters=0", "-timeout=10", merged, *folders],
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        seeds = {file.read_bytes() for file in (ROOT / "fuzz" / "seeds" / target).iterdir()}
        inputs = {file.name: file.read_bytes() for file in Path(merged).iterdir()}
        corpus.mkdir(parents=True, exist_ok=True)
        for file in corpus.iterdir():
            file.unlink()
        for name, data in inputs.items():
            if data not in seeds:
                (corpus / name).write_bytes(data)
        if not any(corpus.iterdir()):
            corpus.rmdir()


# ---- coverage ----


def read_lcov(text):
    """LCOV: source -> {line: executions}."""
    lines = {}
    for row in text.splitlines():
        if row.startswith("SF:"):
            source = os.path.relpath(row[3:], ROOT / "src")
            lines[source] = {}
        elif row.startswith("DA:"):
            line, count = row[3:].split(",")[:2]
            lines[source][int(line)] = int(count)
    return lines


def measure(target, sources):
    """Runs the stored inputs; source -> {line: executions}."""
    binary = ROOT / "build-coverage" / "fuzz" / f"{target}_fuzz"
    raw, profile = binary.with_suffix(".profraw"), binary.with_suffix(".profdata")
    run = subprocess.run([binary, "--whole", *stored(target)], stdout=subprocess.DEVNULL,
                         env={**os.environ, "LLVM_PROFILE_FILE": str(raw)})
    if run.returncode:
        sys.exit(f"fuzz: {target} fails on an input that is stored")
    subprocess.run(["llvm-profdata-19", "merge", "-o", profile, raw], check=True)
    export = subprocess.run(["llvm-cov-19", "export", "-format=lcov", f"-instr-profile={profile}", binary,
                             *(ROOT / "src" / source for source in sources)], check=True, capture_output=True, text=True)
    lines = read_lcov(export.stdout)
    missing = [source for source in sources if not lines.get(source)]
    if missing:
        sys.exit(f"fuzz: {target}: no lines of {', '.join(missing)} are in the program")
    return {source: lines[source] for source in sources}


def percent(lines):
    """Of the lines that can be executed, how many were."""
    counts = [count > 0 for source in lines.values() for count in source.values()]
    return 100 * sum(counts) / len(counts)


def total(lines):
    return sum(len(source) for source in lines.values())


def coverage(targets, detailed):
    """Prints the table; False when a target is below the threshold."""
    good = True
    for target, sources in targets.items():
        lines = measure(target, sources)
        enough = percent(lines) >= THRESHOLD
        good = good and enough
        print(f"{target:16}{percent(lines):7.2f} % of {total(lines):5} lines{'' if enough else '   TOO FEW'}", flush=True)
        for source, counts in lines.items() if detailed else ():
            missed = [str(line) for line, count in counts.items() if not count]
            print(f"    src/{source} {percent({source: counts}):.2f} %: {' '.join(missed)}")
    return good


def page(targets):
    """Writes what is measured and what was run into the documentation."""
    runs = read_runs()
    table = ["| target | sources in `src/` | lines | reached | inputs stored | run: executions | hours of processor time |",
             "|---|---|---|---|---|---|---|"]
    for target, sources in targets.items():
        lines = measure(target, sources)
        inputs = sum(len(list(folder.iterdir())) for folder in stored(target))
        executions, cpu_s = runs.get(target, (0, 0))
        names = " ".join(f"`{source}`" for source in sources)
        table.append(f"| {target} | {names} | {total(lines)} | {percent(lines):.1f} % | {inputs} | "
                     f"{executions / 1e6:.1f} M | {cpu_s / 3600:.2f} |")
    before, rest = PAGE.read_text().split(MARKS[0])
    after = rest.split(MARKS[1])[1]
    PAGE.write_text(before + MARKS[0] + "\n".join(table) + "\n" + MARKS[1] + after)


# ---- the command ----


def chosen(targets, arguments):
    """The targets that the arguments name, all when none."""
    unknown = [name for name in arguments if name not in targets]
    if unknown:
        sys.exit(f"fuzz: there is no target {unknown[0]}")
    return {name: targets[name] for name in arguments or targets}


def main(arguments):
    targets = read_targets()
    what = arguments.pop(0) if arguments and arguments[0].startswith("-") else ""
    if what == "--coverage":
        return coverage(chosen(targets, arguments), bool(arguments))
    if what == "--page":
        return page(targets) or True
    if what == "--rounds" and len(arguments) == 1:
        return rounds(targets, float(arguments[0]))
    if what == "--store":
        return all([store(target) is None for target in chosen(targets, arguments)])
    if what:
        print(__doc__)
        return what == "--help"
    seconds = int(arguments.pop()) if arguments and arguments[-1].isdecimal() else 60
    return not any([fuzz(target, seconds, sys.stdout)[2] for target in chosen(targets, arguments)])


if __name__ == "__main__":
    sys.exit(0 if main(sys.argv[1:]) else 1)
