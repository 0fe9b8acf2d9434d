"""Hands listening sockets over as systemd does (sd_listen_fds(3)): activate.py NAMES FD,… COMMAND…

A program of its own, because LISTEN_PID names the process that executes the command.
"""
import fcntl
import os
import sys

FIRST_FD = 3


def main(names, numbers, *command):
    high = [fcntl.fcntl(int(number), fcntl.F_DUPFD, 100) for number in numbers.split(",")]
    for place, number in enumerate(high, FIRST_FD):
        os.dup2(number, place)
        os.close(number)
    os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(high)), LISTEN_FDNAMES=names)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(*sys.argv[1:])
