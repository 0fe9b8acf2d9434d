"""The sums of ./dev test are right, and a run without tests is a failure."""
import json
import sys
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
    _, counts = run_tests.run_step("nothing", lambda: (0, 0))
    assert counts == (0, 1)
    assert "no test ran" in capsys.readouterr().out


def test_a_folder_without_tests_has_failed(tmp_path, monkeypatch):
    (tmp_path / ".deps").mkdir()
    monkeypatch.setattr(run_tests, "ROOT", tmp_path)
    assert run_tests.pytest("empty", str(tmp_path)) == (0, 1)


def test_counts_are_summed():
    assert run_tests.one(False) == (0, 1)
    assert run_tests.add((1, 0), (2, 3)) == (3, 3)
