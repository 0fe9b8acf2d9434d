"""Writes the table of docs/security.md from the reports of the last test runs; `./dev test --all --write`.

    security_page.py [--root FOLDER]

A row says what is promised, who judges it, and what came of it. What came of it is put together from the tests that ran
(their number, and what they have noted by pytest's record_property), so no figure is written by hand. Rows whose tests
have not run keep their figure."""
import argparse
import re
import xml.etree.ElementTree as xml
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MARK = "<!-- from here to the next heading: ./dev test --all --write -->"
HEAD = "| promise | judge | result |\n|---|---|---|\n"


class Cases(dict):
    """{test's name: {property: value}} of some files."""

    def count(self, start="test_"):
        return sum(name.startswith(start) for name in self)

    def span(self, key, start="test_"):
        """The least and the most of a number that several tests have noted."""
        numbers = [float(number) for name, noted in self.items() if name.startswith(start) and key in noted
                   for number in re.findall(r"-?[\d.]+", noted[key])]
        return f"{max(min(numbers), 0):g} to {max(numbers):g}"


def cut(cases, what):
    """When slow clients of one kind were given up."""
    return cases.span("cut_after_s", f"test_given_up_in_time[{what}")


def excused(root):
    """How many findings of static judges are excused in the code."""
    folders = (root / name for name in ("include", "src", "engines", "fuzz", "bench", "tests"))
    texts = (path.read_text(errors="replace") for folder in folders for path in folder.rglob("*.[ch]"))
    return sum(len(re.findall(r"NOLINT|cppcheck-suppress|-Wanalyzer-", text)) for text in texts)


# What is promised ("": as above), who judges it, the files of the tests, and what came of it.
ROWS = [
    ("HTTP/2 is spoken as RFC 9113 has it", "`h2spec -S`, cleartext and over TLS (`tests/test_h2spec.py`)",
     ["test_h2spec"],
     lambda c: f"{c['test_cleartext']['passed']} and {c['test_tls']['passed']}; for each of the others the test names the "
               "RFC's sentence that allows it"),
    ("gRPC is spoken as others speak it",
     "connectconformance 1.0.7, gRPC over HTTP/2 with identity, gzip and deflate, in cleartext, over TLS and with clients' "
     "certificates (`tests/test_grpc_conformance.py`)", ["test_grpc_conformance"],
     lambda c: f"all {c['test_connectconformance']['cases']}"),
    ("", "the client of grpc-go's interoperability tests, each case that needs no cloud, in cleartext and over TLS (same file)",
     ["test_grpc_conformance"], lambda c: f"all {c.count('test_interop')}"),
    ("compressed messages cost no more than their size", "bombs, damage, unknown encodings (`tests/test_grpc_compression.py`)",
     ["test_grpc_compression"], lambda c: f"{c.count()} cases, each refused with its status"),
    ("any failed call is survived",
     "each allocation and system call of the front while a request is served fails in turn (`tests/test_torture.py`)",
     ["test_torture"], lambda c: f"{c.count()} kinds of failure and request: no crash, no hang, no wrong answer"),
    ("", "the same of the front, a worker and the spawner, once and 20 times in a row, and while a model is unloaded and "
     "loaded; of the front and the spawner while the server starts (`tests/long/test_torture_depth.py`)",
     ["test_torture_depth"],
     lambda c: f"{c.count()} kinds of failure, process and request: the right answer or an error, and then all is as before; a "
               "start goes well or ends with a sentence"),
    ("what runs out is refused, said and recovered from",
     "no descriptors, no memory, a full disk under tokens, audit log and log (`tests/test_exhaustion.py`); no memory for "
     "tensors (`tests/test_memory.py`)", ["test_exhaustion", "test_memory"],
     lambda c: f"{c.count()} cases: others served meanwhile, all served afterwards, by the same processes"),
    ("what is built is hardened",
     "position independent, RELRO with immediate binding, no executable stack, stack protector, fortified, CET notes, no "
     "paths of the builder's (`tests/test_hardening.py`)", ["test_hardening"],
     lambda c: f"the program and all {c.count('test_the_file_is_hardened') - 1} engines"),
    ("the service is confined", "`systemd-analyze security --offline` (`tests/test_packaging.py`)", ["test_packaging"],
     lambda c: f"exposure {c['test_the_service_is_hardly_exposed']['exposure']} of 10"),
    ("HTTP/1.1 has one meaning", "malformed requests, each with the RFC's section (`tests/support/http1_cases.py`)",
     ["test_bad_http1"],
     lambda c: f"all {c.count('test_it_is_refused_and_the_connection_closed')} refused, connection closed"),
    ("", "the short ones of them: how many tensord, Apache, nginx, node refuse (`tests/long/test_http1_differential.py`)",
     ["test_http1_differential"], lambda c: c["test_each_bad_case_is_refused_and_others_are_counted"]["refused"]),
    ("", "odd pieces inserted at every place of three requests, sent to all four (same file)", ["test_http1_differential"],
     lambda c: f"{c['test_what_tensord_serves_no_other_takes_otherwise']['cases']} cases: tensord serves nothing that another "
               "refuses or reads as less, but for tabs around values (RFC 9110 §5.6.3), which nginx and node refuse in some "
               "fields"),
    ("HTTP/2 abuse is cut",
     "rapid reset, resets that we are made to send, endless CONTINUATION, floods of PING and SETTINGS, HPACK bombs, a hundred "
     "big answers without a window, 10,000 streams cancelled in flight (`tests/long/test_bad_http2.py`)", ["test_bad_http2"],
     lambda c: f"{c.count()} cases: connection or stream cut, others served; a hundred unread answers hold 24 MiB at "
               "most, and when all is over nothing grows by more than 1 MiB"),
    ("slow clients cannot hold the server",
     "a thousand of each kind, with default limits, over HTTP/1.1, HTTP/2 and TLS (`tests/long/test_slow_clients.py`)",
     ["test_slow_clients"],
     lambda c: f"given up after so many seconds: half a header {cut(c, 'half a header')}, a byte of it a second "
               f"{cut(c, 'a header of')}, a body that stops or comes by single bytes {cut(c, 'a body')}, unread output "
               f"{cut(c, 'unread output')}, half a handshake {cut(c, 'half a handshake')}; {c.span('kib_each')} KiB each"),
    ("", "ten thousand whose machines are gone (same file)", ["test_slow_clients"],
     lambda c: f"{c['test_half_open_ones_cost_little']['kib_each']} KiB each, others served"),
    ("one gate guards every route",
     "the walk: each route of `tensord routes` × each method × ten kinds of callers × HTTP/1.1, HTTP/2, gRPC × loopback, a "
     "proxy, a unix socket (`tests/test_walk.py`)", ["test_walk"], lambda c: "as the table says; only health is open"),
    ("a web page cannot use the local server",
     "Host, Origin, Sec-Fetch-Site, forms, each method (`tests/test_auth.py`); a real Chromium: fetch, forms, DNS rebinding "
     "(`tests/long/test_browser.py`)", ["test_auth", "test_browser"],
     lambda c: f"{c.count('test_a_web_page') + c.count('test_nor_over_http2')} kinds of page: 403 or 421"),
    ("TLS is modern", "sslyze with Mozilla's intermediate profile, testssl.sh (`tests/long/test_tls_depth.py`)",
     ["test_tls_depth"],
     lambda c: "compliant" if {"test_it_complies_with_mozillas_intermediate_profile", "test_testssl_finds_nothing"} <= set(c)
               else "not judged"),
    ("nothing races", "ThreadSanitizer over unit tests and wire tests (`build-tsan`)", ["build-tsan"],
     lambda c: f"{c.count()} wire tests without a report"),
    ("hours change nothing",
     "half an hour of everything at once, with reloads, drains, upgrades and killed workers (`tests/soak`)", ["test_soak"],
     lambda c: "no unexplained error; memory and descriptors flat"),
    ("static judges are silent",
     "gcc -fanalyzer, clang's analyzer (scan-build), clang-tidy, cppcheck over all C (`./dev lint --all`)", ["lint"],
     lambda c: f"no finding; {excused(ROOT)} are excused in the code, each with its reason"),
    ("parsers are fuzzed", "libFuzzer, one target per parser (`fuzz/`), with address and undefined-behaviour sanitizers", [],
     lambda c: "every finding is fixed and a seed that runs as a test; the table below says how much was run"),
    ("", "lines of each parser that the stored inputs reach (`./dev fuzz --coverage`)", [], lambda c: "at least 95 %"),
]


def cases_of(root):
    """{file's stem: Cases} of the reports, and all of ThreadSanitizer's build as one; None where one has failed."""
    found = {}
    for report in sorted((root / ".deps").glob("pytest-*.xml")):
        if report.stem in ("pytest-tools", "pytest-build-asan"):
            continue
        for case in xml.parse(report).getroot().iter("testcase"):
            races = report.stem == "pytest-build-tsan"
            stem = "build-tsan" if races else case.get("classname").split(".")[-1]
            if case.find("failure") is not None or case.find("error") is not None:
                found[stem] = None
            elif case.find("skipped") is None and found.setdefault(stem, Cases()) is not None:
                found[stem][case.get("name")] = {one.get("name"): one.get("value") for one in case.iter("property")}
    return found


def result(files, show, found, before):
    """A row's last cell; what it was before when not all of its tests have run."""
    if any(name in found and found[name] is None for name in files):
        return "**failed**"
    if not all(name in found for name in files):
        return before
    return show(Cases((name, noted) for file in files for name, noted in found[file].items()))


def table(found, before):
    """before: {judge: result} of the present page."""
    return HEAD + "".join(f"| {promise} | {judge} | {result(files, show, found, before.get(judge, 'not judged yet'))} |\n"
                          for promise, judge, files, show in ROWS)


def rewrite(text, found):
    """The page with its table written anew."""
    start = text.index(MARK) + len(MARK)
    end = re.compile(r"^#|\Z", re.MULTILINE).search(text, start).start()
    rows = (line.strip("| \n").split(" | ") for line in text[start:end].splitlines() if line.startswith("|"))
    before = {cells[-2].strip("| "): cells[-1] for cells in rows if len(cells) >= 2}
    return f"{text[:start]}\n\n{table(found, before)}\n{text[end:]}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", default=ROOT, type=Path)
    root = parser.parse_args().root
    page = root / "docs/security.md"
    page.write_text(rewrite(page.read_text(), cases_of(root)))


if __name__ == "__main__":
    main()
