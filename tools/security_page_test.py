"""The table of docs/security.md says what the reports say, and keeps what it has no report of."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import security_page  # noqa: E402

PAGE = f"# Security\n\n{security_page.MARK}\n\n{{}}\n## Next\n\ntext\n"
CASE = '<testcase classname="tests.{}" name="{}"><properties><property name="{}" value="{}"/></properties>{}</testcase>'
FILE = "test_packaging", "test_the_service_is_hardly_exposed", "exposure", "0.7"


def report(tmp_path, name, *cases):
    (tmp_path / ".deps").mkdir(exist_ok=True)
    (tmp_path / ".deps" / name).write_text(f"<testsuites><testsuite>{''.join(cases)}</testsuite></testsuites>")


def row(tmp_path, text, judge):
    page = security_page.rewrite(text, security_page.cases_of(tmp_path))
    (line,) = (line for line in page.splitlines() if judge in line)
    return page, line.strip("| ").split(" | ")[-1]


def test_a_figure_comes_from_the_report(tmp_path):
    report(tmp_path, "pytest-build.xml", CASE.format(*FILE, ""))
    page, shown = row(tmp_path, PAGE.format(""), "systemd-analyze")
    assert shown == "exposure 0.7 of 10" and page.endswith("\n\n## Next\n\ntext\n")


def test_a_figure_stays_when_its_tests_have_not_run(tmp_path):
    report(tmp_path, "pytest-build.xml", CASE.format(*FILE, ""))
    page, _ = row(tmp_path, PAGE.format(""), "systemd-analyze")
    (tmp_path / ".deps" / "pytest-build.xml").unlink()
    assert row(tmp_path, page, "systemd-analyze") == (page, "exposure 0.7 of 10")


def test_a_failure_is_shown(tmp_path):
    report(tmp_path, "pytest-build.xml", CASE.format(*FILE, '<failure message="x"/>'))
    assert row(tmp_path, PAGE.format(""), "systemd-analyze")[1] == "**failed**"


def test_sanitizers_builds_give_no_figures(tmp_path):
    report(tmp_path, "pytest-build-asan.xml", CASE.format(*FILE, ""))
    assert row(tmp_path, PAGE.format(""), "systemd-analyze")[1] == "not judged yet"


def test_several_figures_are_a_span():
    cases = security_page.Cases({"test_a[x]": {"s": "10.0 to 10.2"}, "test_a[y]": {"s": "9.9 to 10.0"}, "test_b": {}})
    assert cases.span("s", "test_a") == "9.9 to 10.2" and cases.count("test_a") == 2
