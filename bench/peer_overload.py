"""The burst of overload.py on tensord and on other servers that serve the same model: each is asked for three times what it
can, and each has five times its own unloaded median."""
from functools import partial

import overload
import peer_servers
import peer_table
import subjects

# Triton refuses what has waited longer than its `timeout`; MLServer has no bound for its queue and no deadline.
CONTESTANTS = [("Triton", "2 instances, a queue that refuses", {"workers": 2, "batch": 1, "threads": 1}),
               ("MLServer", "2 workers", {"parallel": 2, "batch": 1, "threads": 1})]
HEAD = ["server", "set to", "capacity", "unloaded median", "answers in time, of the capacity", "answers: p50", "p99",
        "refused at once", "refusals: p50", "p99", "let in, expired or late", "neither"]


def theirs(contestant, build, model, folder, seconds):
    """The burst on another server."""
    function = overload.magika(model)
    home = folder / f"overload-{contestant.name}"
    with peer_table.started(contestant, function, home) as (server, _):
        return overload.burst(build, server, contestant.peer.path.format(function=function.name),
                              partial(contestant.peer.form, function), folder, seconds)


def row(name, told, found):
    got = found.got
    ms = [peer_table.ms(value * 1e3) for value in (got.answer_p50, got.answer_p99, got.refusal_p50, got.refusal_p99)]
    refused, late, neither = (f"{count / got.due:.1%}" for count in (
        got.refused, got.expired + got.answered - got.in_time, got.others + got.unsent))
    return [name, told, f"{found.capacity:,.0f}/s", peer_table.ms(found.unloaded_ms * 1e3), f"{found.in_time:.1%}", *ms[:2], refused,
            *(ms[2:] if got.refused else ["", ""]), late, neither]


def rows(report, options, build, model, package, folder):
    seconds = overload.length_s(options)
    for contestant in CONTESTANTS:
        peer_servers.ALL[contestant[0]].install()
    lines = [row("tensord", "nothing", overload.ours(build, model, package, folder, seconds))]
    for name, told, settings in CONTESTANTS:
        contestant = peer_table.Contestant(name, told, settings)
        try:
            lines.append(row(name, told, theirs(contestant, build, model, folder, seconds)))
        except subjects.Failure as failure:
            print(f"{failure}", flush=True)
            lines.append([name, told, "failed", *[""] * (len(HEAD) - 3)])
    report.heading(overload.title(seconds) + ", each its own")
    report.table(HEAD, lines)
