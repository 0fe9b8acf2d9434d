"""The sums of ./dev test are right, and a run without tests is a failure."""
import json
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import run_tests  # noqa: E402


def test_mesons_log_is_counted(tmp_path):
    log = tmp_path / "testlog.json"
    results = ["OK", "OK", "FAIL", "TIMEOUT", "SKIP", "EXPECTEDFAIL"]
    log.write_text("".join(json.dumps({"result": result}) + "\n" for result in results))
    assert run_tests.count_meson(log) == (3, 2)


def test_pytests_report_is_counted(tmp_path):
    report = tmp_path / "report.xml"
    report.write_text(
        '<testsuites><testsuite tests="10" failures="1" errors="2" skipped="3"/></testsuites>'
    )
    assert run_tests.count_pytest(report) == (4, 3)


def test_a_step_that_ran_nothing_has_failed(capsys):
    _, counts = run_tests.run_step("nothing", lambda _: (0, 0))
    assert counts == (0, 1)
    assert "no test ran" in capsys.readouterr().out


def test_steps_of_a_group_run_beside_each_other_and_all_is_shown(capsys):
    meet = threading.Barrier(2, timeout=60)

    def step(output):
        meet.wait()
        run_tests.run(sys.executable, "-c", "print(6 * 7)", output=output)
        return 1, 0

    assert [counts for _, counts in run_tests.run_group({"one": step, "two": step})] == [(1, 0), (1, 0)]
    assert "=== two\n+ " in (shown := capsys.readouterr().out) and shown.endswith("\n42\n\n")


def test_a_folder_without_tests_has_failed(tmp_path, monkeypatch):
    (tmp_path / ".deps").mkdir()
    monkeypatch.setattr(run_tests, "ROOT", tmp_path)
    assert run_tests.pytest("empty", str(tmp_path)) == (0, 1)


def test_counts_are_summed():
    assert run_tests.one(False) == (0, 1)
    assert run_tests.add((1, 0), (2, 3)) == (3, 3)
