"""Results as tables: of one server for a terminal, of several as Markdown."""
import argparse
import json
from collections import Counter
from pathlib import Path

from .plugin import FAIL, NOT_APPLICABLE, PASS

TRANSPORTS = ("HTTP/1.1", "HTTP/2", "gRPC")
SIGNS = {PASS: "pass", FAIL: "**fail**", NOT_APPLICABLE: "–"}


def counts(results):
    """{(transport, kind): Counter of outcomes}"""
    found = {}
    for result in results:
        found.setdefault((result["transport"], result["kind"]), Counter())[result["outcome"]] += 1
    return found


def of_one(results, everything=False):
    """What fails, with its reason, and sums."""
    lines = [""]
    for result in results:
        if everything or result["outcome"] == FAIL:
            lines.append(f"{result['outcome']:14} {result['transport']:8} {result['id']}: {result['expects']}")
            lines += [f"{'':24}{line}" for line in result["reason"].splitlines()[:6]]
    lines += ["", f"{'':9} {'kind':12} {'passed':>7} {'failed':>7} {'not applicable':>15}"]
    for transport in TRANSPORTS:
        for (over, kind), found in counts(results).items():
            if over == transport:
                lines.append(f"{over:9} {kind:12} {found[PASS]:7} {found[FAIL]:7} {found[NOT_APPLICABLE]:15}")
    total = Counter(result["outcome"] for result in results)
    lines.append(f"{total[PASS]} passed, {total[FAIL]} failed, {total[NOT_APPLICABLE]} not applicable")
    return "\n".join(lines)


def merged(results):
    """{(id, family): result}: over HTTP/1.1 and HTTP/2 the same case, which fails when it fails over one."""
    order = [NOT_APPLICABLE, PASS, FAIL]
    found = {}
    for result in results:
        key = (result["id"], "gRPC" if result["transport"] == "gRPC" else "REST")
        if key not in found or order.index(result["outcome"]) > order.index(found[key]["outcome"]):
            found[key] = result
    return found


def share(results):
    """Passed of judged, as text."""
    total = Counter(result["outcome"] for result in results)
    judged = total[PASS] + total[FAIL]
    return f"{total[PASS]} of {judged}" if judged else "–"


def sums(reports):
    """How many cases each passes of those that are judged."""
    lines = ["| | " + " | ".join(reports) + " |", "|---|" + "---|" * len(reports)]
    for transport in TRANSPORTS:
        for kind in ("required", "triton", "robustness"):
            cells = [share([result for result in report["results"] if (result["transport"], result["kind"]) == (transport, kind)])
                     for report in reports.values()]
            lines.append(f"| {transport}, {kind} | " + " | ".join(cells) + " |")
    cells = [share(report["results"]) for report in reports.values()]
    return [*lines, "| **all** | " + " | ".join(cells) + " |"]


def of_several(reports):
    """Markdown: reports by the server's name."""
    found = {name: merged(report["results"]) for name, report in reports.items()}
    keys = list(dict.fromkeys(key for results in found.values() for key in results))
    lines = sums(reports)
    for kind in ("required", "triton", "robustness"):
        lines += ["", f"### {kind.capitalize()}", "", "| case | expects | " + " | ".join(reports) + " |",
                  "|---|---|" + "---|" * len(reports)]
        last = None
        for key in keys:
            one = next(results[key] for results in found.values() if key in results)
            if one["kind"] != kind:
                continue
            cells = [SIGNS[results[key]["outcome"]] if key in results else "–" for results in found.values()]
            expects, last = "" if one["expects"] == last else escaped(one["expects"]), one["expects"]
            lines.append(f"| `{key[0]}` ({key[1]}) | {expects} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def reasons(reports):
    """Markdown: what each server answers where it fails."""
    lines = []
    for name, report in reports.items():
        failed = [result for result in merged(report["results"]).values() if result["outcome"] == FAIL]
        lines += ["", f"### {name}", ""]
        lines += [f"- `{result['id']}` ({result['transport']}): {escaped(' '.join(result['reason'].split()))[:240]}"
                  for result in failed] or ["Nothing."]
    return "\n".join(lines) + "\n"


def escaped(text):
    return text.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")


def main(arguments=None):
    """oip-conformance-table NAME=FILE…"""
    parser = argparse.ArgumentParser(prog="oip-conformance-table", description="Several servers' results in one table, as Markdown.")
    parser.add_argument("report", nargs="+", help="NAME=FILE: a server's name and the JSON that oip-conformance --json has written")
    given = parser.parse_args(arguments)
    reports = {name: json.loads(Path(file).read_text()) for name, file in (pair.split("=", 1) for pair in given.report)}
    print(of_several(reports) + "\n## What fails, and how\n" + reasons(reports))
