"""What was measured: printed as it comes, and written to docs/performance.md."""
import math
import os
import platform
import statistics
from pathlib import Path

PAGE = """# Performance

Written by `./dev bench --write`. Every comparison was interleaved in one run on one machine ({machine}), load
generator included, so the ratios hold where single figures do not. Figures are medians of {rounds} rounds of
{seconds} s, ratios medians of the rounds' ratios, in brackets
where the median lies with a probability of 95 %; {noise}. CPU time is user and system time of all processes of a server:
spawner, front and workers. Load comes from `wrk` and `h2load`, one thread each; [bench/README.md](../bench/README.md) says what each limit is.
{rows}

"""

PEERS_BEGIN = "<!-- From here on: ./dev bench --peers --write -->"
PEERS_END = "<!-- Up to here. -->"
PEERS = """{begin}

# Beside other servers

Written by `./dev bench --peers --write`, in one run on one machine ({machine}), load generator included. {told}
[bench/peers/](../bench/peers/README.md) has what each server was given, and why.
{rows}

{end}
"""


def machine():
    """The processor's name and how many of it there are."""
    info = Path("/proc/cpuinfo").read_text()
    names = [line.partition(":")[2].strip() for line in info.splitlines() if line.startswith("model name")]
    return f"{os.cpu_count()} × {names[0] if names else platform.machine()}, Linux {platform.release().split('-')[0]}"


def shown(value, unit):
    return f"{value:.3g}{unit}" if abs(value) < 1000 else f"{value:,.0f}{unit}"


def interval(values):
    """Between which of the values the median of all that could be measured lies with a probability of 95 %: as many lie
    below it as heads fall (normal approximation of the sign test)."""
    values = sorted(values)
    outside = max(0, int(len(values) / 2 - 0.98 * math.sqrt(len(values))))
    return values[outside], values[-1 - outside]


def peers_part(page):
    """The page before the peers' part of it, that part, and what is behind it."""
    begin, end = page.find(PEERS_BEGIN), page.find(PEERS_END)
    if begin < 0 or end < begin:
        return page.rstrip() + "\n\n", "", ""
    end += len(PEERS_END) + 1
    return page[:begin], page[begin:end], page[end:]


class Report:
    """Rows: a figure, its bound from what the project promises, and whether that is met."""

    def __init__(self):
        self.lines = []  # of the page
        self.missed = 0
        self.headed = True  # the table that comes next has its head

    def add(self, what, value, unit="", bound=None, at_least=False):
        limit = verdict = ""
        if bound is not None:
            met = value >= bound if at_least else value <= bound
            limit = f"{'≥' if at_least else '≤'} {bound:g}{unit}"
            verdict = "met" if met else "missed"
            self.missed += not met
        self.put(what, shown(value, unit), limit, verdict)

    def put(self, *row):
        if not self.headed:
            self.lines += ["", "| | measured | promised | |", "|---|---|---|---|"]
            self.headed = True
        self.lines.append("| %s | %s | %s | %s |" % row)
        print("  %-66s %12s  %-12s %s" % row, flush=True)

    def add_median(self, what, values, unit="", bound=None):
        """The values' median, and where it lies with a probability of 95 %: a bound that lies in there is neither met nor
        missed."""
        middle, (low, high) = statistics.median(values), interval(values)
        verdict = "" if bound is None else "met" if high <= bound else "missed" if low > bound else "within the noise"
        self.missed += verdict == "missed"
        self.put(what, f"{shown(middle, unit)} ({shown(low, '')} to {shown(high, '')})", f"≤ {bound:g}{unit}" if bound else "",
                 verdict)

    def heading(self, text):
        self.lines += ["", f"## {text}"]
        self.headed = False
        print(f"\n{text}", flush=True)

    def table(self, head, rows):
        """A table of its own columns, of texts."""
        self.lines += ["", *(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows))]
        self.headed = False
        widths = [max(map(len, column)) for column in zip(head, *rows)]
        for row in (head, *rows):
            print("  " + "  ".join(text.ljust(width) for text, width in zip(row, widths)).rstrip(), flush=True)

    def write(self, path, rounds, seconds, noise):
        """All of the page but the peers' part of it, which stays as it is."""
        page = PAGE.format(machine=machine(), rounds=rounds, seconds=seconds, noise=noise, rows="\n".join(self.lines))
        path.write_text(page + peers_part(path.read_text())[1])

    def write_peers(self, path, told):
        """The peers' part of the page alone; told: how it was measured."""
        before, _, after = peers_part(path.read_text())
        part = PEERS.format(begin=PEERS_BEGIN, end=PEERS_END, machine=machine(), told=told, rows="\n".join(self.lines))
        path.write_text(before + part + after)
