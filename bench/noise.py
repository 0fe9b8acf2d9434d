"""Who else used the machine: figures that were measured beside others' work are worth less."""
import os
import resource
import time
from pathlib import Path

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
QUIET = 0.1  # of the machine, for others


def busy_s():
    """CPU time of the whole machine since it started, what its host took from it included."""
    user, nice, system, _, _, irq, softirq, steal, *_ = map(int, Path("/proc/stat").read_text().split("\n")[0].split()[1:])
    return (user + nice + system + irq + softirq + steal) / TICKS_PER_S


def own_s():
    """CPU time of this process and of all that it started and saw end."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


class Noise:
    """Counts from when it is made."""

    def __init__(self):
        self.load = os.getloadavg()[0]
        self.since = time.monotonic(), busy_s(), own_s()

    def before(self):
        cores = os.cpu_count()
        warning = "; others are at work, so wait, or take the ratios with care" if self.load > QUIET * cores else ""
        return f"load of the last minute: {self.load:.2f} on {cores} cores{warning}"

    def meanwhile(self):
        took, busy, own = (now - then for now, then in zip((time.monotonic(), busy_s(), own_s()), self.since))
        share = max(0, busy - own) / (took * os.cpu_count())
        return f"others used {share:.0%} of the machine meanwhile{'' if share <= QUIET else ': measure again when it is quiet'}"
