"""Rounds of fuzzing begin with what has run least, and leave alone what has found something."""
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import fuzz  # noqa: E402

NAMES = "json", "ring", "zip"


@pytest.fixture
def turns(tmp_path, monkeypatch):
    """Three targets, of which ring has never run and json finds something; the turns that rounds() gives them."""
    runs, taken = tmp_path / "runs.tsv", []
    runs.write_text("target\texecutions\tcpu_s\njson\t10\t50\nzip\t10\t300\n")

    def run(name, seconds):
        taken.append(name)
        return 1, 200, name == "json"

    monkeypatch.setattr(fuzz, "RUNS", runs)
    monkeypatch.setattr(fuzz, "fuzz", run)
    monkeypatch.setattr(fuzz.os, "nice", lambda _: None)
    monkeypatch.setattr(fuzz.os, "cpu_count", lambda: 1)
    monkeypatch.setattr(fuzz.time, "monotonic", lambda: len(taken) * 60)  # a turn takes a minute
    return taken


def test_what_has_run_least_is_next(turns):
    fuzz.rounds(NAMES, 5)
    assert turns == ["ring", "json", "ring", "zip", "ring"]


def test_a_target_that_found_something_is_left_out_and_the_round_fails(turns):
    assert not fuzz.rounds(NAMES, 20) and turns.count("json") == 1


def test_turns_add_to_the_totals(turns):
    fuzz.rounds(NAMES, 2)
    assert fuzz.read_runs() == {"json": [11, 250], "ring": [1, 200], "zip": [10, 300]}
