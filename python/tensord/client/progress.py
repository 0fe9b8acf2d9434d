"""Showing how far something is: a bar in a terminal, a live line in a notebook, plain lines elsewhere."""
from __future__ import annotations

import html
import sys
import time
from typing import Any, Optional, TextIO

_BAR_WIDTH = 24
_REDRAW_S = 0.1


def human_size(size_bytes: float) -> str:
    """A size as people read it: 1.5 MB."""
    for unit in ("B", "kB", "MB", "GB"):
        if size_bytes < 1000 or unit == "GB":
            return f"{size_bytes:.0f} {unit}" if unit == "B" or size_bytes >= 100 else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1000
    raise AssertionError


class Progress:
    """What somebody who waits is shown; this one shows nothing."""

    def stage(self, text: str) -> None:
        """What happens from now on."""

    def update(self, share: Optional[float], note: str = "") -> None:
        """How far it is, from 0 to 1, or None when nobody knows, and a few words more."""

    def line(self, text: str) -> None:
        """A line that is to be read, such as one of a build's output."""

    def finish(self, text: str) -> None:
        """All is done."""

    def abandon(self) -> None:
        """It has failed; what to say is said by others."""


SILENT = Progress()


def _without_control(text: str) -> str:
    return "".join(c if c.isprintable() or c == "\t" else "?" for c in text)


class PlainProgress(Progress):
    """Lines for a log: each stage, each line."""

    def __init__(self, stream: TextIO) -> None:
        self.stream, self.last = stream, ""

    def _print(self, text: str) -> None:
        print(_without_control(text), file=self.stream, flush=True)

    def stage(self, text: str) -> None:
        if text != self.last:
            self._print(text)
        self.last = text

    def line(self, text: str) -> None:
        self._print(f"  {text}")

    def finish(self, text: str) -> None:
        self._print(text)


class TerminalProgress(Progress):
    """One line at the bottom that is drawn again and again."""

    def __init__(self, stream: TextIO) -> None:
        self.stream, self.text, self.drawn_at, self.shown = stream, "", 0.0, 0

    def _clear(self) -> None:
        if self.shown:  # blanks instead of a terminal's own sequences, which not every one on Windows knows
            self.stream.write("\r" + " " * self.shown + "\r")
            self.shown = 0

    def _draw(self, share: Optional[float], note: str) -> None:
        import shutil

        bar = ""
        if share is not None:
            full = round(min(max(share, 0.0), 1.0) * _BAR_WIDTH)
            bar = f" [{'#' * full}{'.' * (_BAR_WIDTH - full)}]"
        width = shutil.get_terminal_size().columns - 1
        text = _without_control(f"{self.text}{bar} {note}".rstrip())[:width]
        self.stream.write("\r" + text.ljust(self.shown))
        self.stream.flush()
        self.shown, self.drawn_at = len(text), time.monotonic()

    def stage(self, text: str) -> None:
        self.text = text
        self._draw(None, "")

    def update(self, share: Optional[float], note: str = "") -> None:
        if time.monotonic() - self.drawn_at >= _REDRAW_S:
            self._draw(share, note)

    def line(self, text: str) -> None:
        self._clear()
        self.stream.write(f"  {_without_control(text)}\n")
        self._draw(None, "")

    def finish(self, text: str) -> None:
        self._clear()
        print(_without_control(text), file=self.stream, flush=True)

    def abandon(self) -> None:
        self._clear()
        self.stream.flush()


class NotebookProgress(Progress):
    """One output of a notebook's cell that is replaced as things go on."""

    _LINES = 8  # the last ones of a build's output

    def __init__(self, display: Any) -> None:
        self.display, self.handle, self.drawn_at = display, None, 0.0
        self.text, self.lines = "", []  # type: ignore[var-annotated]

    def _draw(self, share: Optional[float], note: str = "") -> None:
        plain = f"{self.text} {note}".rstrip()
        bar = f" <progress max='1' value='{share:.3f}'></progress>" if share is not None else ""
        log = f"<pre>{html.escape(chr(10).join(self.lines))}</pre>" if self.lines else ""
        data = {"text/plain": plain, "text/html": f"{html.escape(self.text)}{bar} {html.escape(note)}{log}"}
        if self.handle is None:
            self.handle = self.display(data, raw=True, display_id=True)
        else:
            self.handle.update(data, raw=True)
        self.drawn_at = time.monotonic()

    def stage(self, text: str) -> None:
        self.text, self.lines = text, []
        self._draw(None)

    def update(self, share: Optional[float], note: str = "") -> None:
        if time.monotonic() - self.drawn_at >= _REDRAW_S:
            self._draw(share, note)

    def line(self, text: str) -> None:
        self.lines = [*self.lines, text][-self._LINES:]
        self._draw(None)

    def finish(self, text: str) -> None:
        self.text, self.lines = text, []
        self._draw(None)


def _notebook_display() -> Any:
    """IPython's display, when this runs in a notebook's kernel."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    if shell is None or not hasattr(shell, "kernel"):
        return None
    from IPython.display import display

    return display


def choose(stream: Optional[TextIO] = None) -> Progress:
    """The one that suits where this runs."""
    if display := _notebook_display():
        return NotebookProgress(display)
    stream = stream or sys.stderr
    return TerminalProgress(stream) if stream.isatty() else PlainProgress(stream)
