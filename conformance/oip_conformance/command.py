"""The command oip-conformance."""
import argparse
import json
import sys
from importlib import metadata
from pathlib import Path

import pytest

from . import plugin, table

CASES = Path(__file__).parent / "cases"


class Collector:
    """Takes the results when the run is over."""

    def pytest_sessionfinish(self, session):
        self.results = list(session.config.oip_results.values())
        target = session.config.oip_target
        self.server = {"name": target.metadata.get("name", ""), "version": target.metadata.get("version", ""),
                       "extensions": target.metadata.get("extensions", [])}


def version():
    try:
        return metadata.version("oip-conformance")
    except metadata.PackageNotFoundError:
        return "in the tree"


def parse(arguments):
    parser = argparse.ArgumentParser(
        prog="oip-conformance", description="Asks a server all cases of the suite and says which it passes. Exit status: 0 when "
        "it fails none, 1 when it fails some.")
    parser.add_argument("url", help="the server's URL, such as http://127.0.0.1:8000")
    parser.add_argument("--grpc-url", metavar="HOST:PORT", help="where it speaks gRPC; without it those cases are not applicable")
    parser.add_argument("--server", metavar="COMMAND", help="a command that starts the server at these URLs; it is started again when "
                        "a case has ended it, and stopped in the end")
    parser.add_argument("--header", action="append", default=[], metavar="NAME:VALUE", help="a header field for every request")
    parser.add_argument("--model", action="append", default=[], metavar="NAME=SERVED",
                        help="the name under which it serves a model of the suite, where that is another")
    parser.add_argument("--assume", action="append", default=[], metavar="EXTENSION",
                        help="an extension that the server has and does not announce")
    parser.add_argument("--kind", action="append", default=[], choices=["required", "triton", "robustness"],
                        help="only cases of this kind")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results as JSON")
    parser.add_argument("--verbose", action="store_true", help="show every case, and pytest's own report of failures")
    parser.add_argument("-k", dest="only", metavar="EXPRESSION", help="only tests with these words in their names, as pytest's -k")
    return parser.parse_args(arguments)


def main(arguments=None):
    given = parse(arguments)
    options = [str(CASES), "-p", "no:cacheprovider", "--rootdir", str(CASES), "-c", "/dev/null", f"--oip-url={given.url}"]
    options += [f"--oip-grpc-url={given.grpc_url}"] if given.grpc_url else []
    options += [f"--oip-server={given.server}"] if given.server else []
    options += [f"--oip-field={field}" for field in given.header] + [f"--oip-model={pair}" for pair in given.model]
    options += [f"--oip-assume={name}" for name in given.assume] + (["-k", given.only] if given.only else [])
    options += ["--tb=short", "-q"] if given.verbose else ["--tb=no", "-q", "--no-summary"]
    collector = Collector()
    pytest.main(options, plugins=[plugin, collector])
    if not getattr(collector, "results", None):
        sys.exit("no case ran")
    results = [result for result in collector.results if not given.kind or result["kind"] in given.kind]
    if given.json:
        report = {"suite": version(), "server": collector.server, "results": results}
        given.json.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    print(table.of_one(results, given.verbose))
    sys.exit(1 if any(result["outcome"] == plugin.FAIL for result in results) else 0)
