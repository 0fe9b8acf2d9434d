"""Runs every check and every test, in an order that fails early; the end of `./dev test`.

Each step is a function that returns how many tests passed and failed; a step that ran none has
failed. All steps run, whatever fails. The last line is `N passed, M failed`, over all of them.

A step's output goes to the file that it is given, or to ours: those that mostly wait run beside each other.
"""
import json
import os
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as xml
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = "src/cmd/tensord"

# What a build folder is configured with: compiler, then Meson's options.
BUILDS = {
    "build": ["gcc"],
    "build-optimised": ["gcc", "--buildtype=release"],
    "build-asan": ["clang-19", "-Db_sanitize=address,undefined", "-Db_lundef=false"],
    "build-tsan": ["clang-19", "-Db_sanitize=thread", "-Db_lundef=false"],
}

# Any report of a sanitizer ends the process with a status that no test expects. ThreadSanitizer does not know how the
# threads of a library that it has not seen compiled (ONNX Runtime) wait for each other, and would sleep a second at exit.
SANITIZERS = {
    "ASAN_OPTIONS": "abort_on_error=0:exitcode=99:detect_stack_use_after_return=1:allocator_may_return_null=1",
    "UBSAN_OPTIONS": "halt_on_error=1:exitcode=99:print_stacktrace=1",
    "TSAN_OPTIONS": "halt_on_error=1:exitcode=99:second_deadlock_stack=1:ignore_noninstrumented_modules=1:atexit_sleep_ms=0",
}


def run(*command, output=None, **environment):
    """Runs the command in the tree; True when it exits 0."""
    print("+ " + " ".join(map(str, command)), file=output, flush=True)
    environment = {**os.environ, **SANITIZERS, **environment}
    ended = subprocess.run(command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=output,
                           stderr=output and subprocess.STDOUT)
    return ended.returncode == 0


def one(ok):
    """A check that is one test."""
    return (1, 0) if ok else (0, 1)


def note(name, ok):
    """Leaves a report like pytest's of a check that is none of its tests."""
    case = f'<testcase classname="{name}" name="test_{name}">{"" if ok else "<failure/>"}</testcase>'
    (ROOT / ".deps" / f"pytest-{name}.xml").write_text(f"<testsuites><testsuite>{case}</testsuite></testsuites>")


def lint(output=None):
    """The checks of style and structure, and the tests of these tools."""
    everything = "--all" in sys.argv
    ok = run(sys.executable, "tools/lint.py", *(["--all"] if everything else []), output=output)
    if everything:
        note("lint", ok)
    return add(one(ok), pytest("tools", "tools", output=output))


def build(folder, output=None):
    """Configures and builds; ./dev's own function, so that both make the same folder."""
    script = '. tools/setup.sh; setup_build "$@"'
    return run("sh", "-euc", script, "sh", folder, *BUILDS[folder], output=output)


def count_meson(log):
    """Meson writes one JSON object per test and line."""
    results = [json.loads(line)["result"] for line in log.read_text().splitlines()]
    passed = sum(result in ("OK", "EXPECTEDFAIL") for result in results)
    return passed, len(results) - passed - results.count("SKIP")


def unit_tests(folder, output=None):
    """Builds the folder and runs its unit tests and its fuzz seeds."""
    if not build(folder, output):
        return 0, 1
    log = ROOT / folder / "meson-logs" / "testlog.json"
    log.unlink(missing_ok=True)
    ok = run("meson", "test", "-C", folder, "--no-rebuild", "--print-errorlogs", "-t", "5", output=output)
    passed, failed = count_meson(log) if log.exists() else (0, 0)
    return passed, failed if ok or failed else 1


def count_pytest(report):
    """The totals of a JUnit report."""
    suites = list(xml.parse(report).getroot().iter("testsuite"))
    total, skipped, failed = (
        sum(int(suite.get(key, 0)) for suite in suites for key in keys)
        for keys in (["tests"], ["skipped"], ["failures", "errors"])
    )
    return total - skipped - failed, failed


def pytest(name, *arguments, output=None, **environment):
    """Runs pytest; a run that ends badly has failed even when no test did."""
    report = ROOT / ".deps" / f"pytest-{name}.xml"
    report.unlink(missing_ok=True)
    command = ["-m", "pytest", "-q", f"--junitxml={report}"]
    ok = run(sys.executable, *command, *arguments, output=output, **environment)
    passed, failed = count_pytest(report) if report.exists() else (0, 0)
    return passed, failed if ok or failed else 1


def wire_tests(folder, output=None):
    """Drives the server of that build through its sockets."""
    return pytest(folder, "tests", output=output, TENSORD_BINARY=str(ROOT / folder / PROGRAM))


def long_tests(output=None):
    """What takes too long for every change: the scripts of tools/long/, each one test."""
    def run_script(script):
        return one(run("sh", script, output=output, PYTEST_ADDOPTS=f"--junitxml={ROOT}/.deps/pytest-long-{script.stem}.xml"))

    return add((0, 0), *map(run_script, sorted((ROOT / "tools" / "long").glob("*.sh"))))


def add(*counts):
    """Sums pairs of (passed, failed)."""
    return sum(passed for passed, _ in counts), sum(failed for _, failed in counts)


# Groups, one after the other, of steps that run beside each other: name and function. Tests through sockets mostly wait.
GROUPS = [
    {"lint": lint},
    {"build, optimised as users have it": lambda output: one(build("build-optimised", output))},
    {"unit tests, gcc": partial(unit_tests, "build")},
    {"unit tests, address and undefined behaviour": partial(unit_tests, "build-asan")},
    {"unit tests, threads": partial(unit_tests, "build-tsan")},
    {"wire tests": partial(wire_tests, "build"),
     "wire tests, address and undefined behaviour": partial(wire_tests, "build-asan")},
]

# What `--all` adds.
LONG_GROUPS = [
    {"wire tests, threads": partial(wire_tests, "build-tsan")},
    {"long tests": long_tests},
]


def run_step(name, step, output=None):
    """Runs one step; returns how it went as a line, and (passed, failed)."""
    print(f"\n=== {name}", file=output, flush=True)
    start = time.monotonic()
    passed, failed = step(output)
    if passed + failed == 0:
        print("no test ran", file=output)
        failed = 1
    seconds = time.monotonic() - start
    return f"{name:48} {passed:6} passed {failed:4} failed {seconds:7.1f} s", (passed, failed)


def run_group(group):
    """Runs its steps at the same time. The first one's output is seen as it comes, that of the others afterwards."""
    (name, step), *others = group.items()
    with ThreadPoolExecutor() as pool:
        outputs = [tempfile.TemporaryFile("w+") for _ in others]
        beside = [pool.submit(run_step, *other, output) for other, output in zip(others, outputs)]
        rows = [run_step(name, step), *(row.result() for row in beside)]
    for output in outputs:
        output.seek(0)
        print(output.read(), flush=True)
        output.close()
    return rows


def main():
    if set(sys.argv[1:]) - {"--all", "--write"}:
        sys.exit("usage: run_tests.py [--all [--write]]")
    groups = GROUPS + (LONG_GROUPS if "--all" in sys.argv else [])
    rows = [row for group in groups for row in run_group(group)]
    print("\n" + "\n".join(row for row, _ in rows))
    passed, failed = add(*(counts for _, counts in rows))
    if "--write" in sys.argv:
        run(sys.executable, "tools/security_page.py")
    print(f"{passed} passed, {failed} failed", flush=True)
    sys.exit(1 if failed or not passed else 0)


if __name__ == "__main__":
    main()
