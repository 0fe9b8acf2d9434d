"""Fifty models within a budget for five, asked for by Zipf's law: nothing fails, memory stays within the budget, what was
decided is decided again, and hardly more is loaded than by somebody who knew all requests in advance."""
import pytest

from support import residency
from support.processes import until
from support.server import is_sanitized

MODELS, PAD_MIB = 50, 24
BUDGET_MIB = 260  # five of them, as their workers use it, with what one takes while it loads
REQUESTS, CLIENTS = 800, 4
PATIENCE_S = 300
MOST_LOADS = 1.3  # of those of the best that can be


@pytest.mark.skipif(is_sanitized(), reason="a sanitizer's workers take more memory")
def test_fifty_models_share_a_budget_for_five(server, tmp_path):
    folder = residency.fill(tmp_path / "models", MODELS, PAD_MIB)
    running = server(folder, "--memory-budget-mib", BUDGET_MIB, "--residency-trace", tmp_path / "trace")

    def settled():
        rows = running.get("/tensord/v1/models")["models"]
        return len(rows) == MODELS and all(row["state"] in ("ready", "asleep") for row in rows)

    with residency.Watch(running) as watch:
        until(settled, PATIENCE_S, "all models looked at")
        crowd = residency.Crowd(running, MODELS, REQUESTS, CLIENTS).run()
    counted = residency.counters(running)
    running.stop()
    again = residency.replay(tmp_path / "trace")
    waits_s = sorted(crowd.waits_s)
    print(f"\n{REQUESTS} requests, {counted['loads']:.0f} loads ({again['ratio']:.2f} of the best: {again['offline']:.0f}), "
          f"{counted['evictions']:.0f} evictions; waited {waits_s[REQUESTS // 2]:.2f} s in the median, "
          f"{waits_s[REQUESTS * 99 // 100]:.2f} s at the 99th percentile; "
          f"{watch.most >> 20} of {BUDGET_MIB} MiB at most, in {watch.looks} looks")
    assert crowd.failures == []
    assert watch.looks > 100 and 0 < watch.most <= BUDGET_MIB * residency.MIB
    assert (again["requests"], again["loads"], again["evictions"]) == (REQUESTS, counted["loads"], counted["evictions"])
    assert again["ratio"] <= MOST_LOADS
