"""Reads C text as far as the lint needs it: comments apart from code, functions, prototypes.

This is no parser. It relies on what the formatter and the compilers have already made sure of.
"""
import re
from bisect import bisect_right
from dataclasses import dataclass
from pathlib import Path

TOKEN = re.compile(
    r"""(?P<comment>/\*.*?\*/|//[^\n]*)
      | (?P<literal>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')""",
    re.DOTALL | re.VERBOSE,
)
DIRECTIVE = re.compile(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", re.MULTILINE)
EXTERN_C = re.compile(r'extern\s+"[ ]*"\s*\{')
ATTRIBUTE = re.compile(r"__attribute__\s*\(\([^)]*(?:\([^)]*\))?[^)]*\)\)")
PROTOTYPE = re.compile(r"\b(?P<name>\w+)\s*\((?!\s*\*)")
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]+(?P<name>"[^"\n]+"|<[^>\n]+>)', re.MULTILINE)


@dataclass
class Function:
    """A function with a body; lines count from 1, both ends included."""

    name: str
    first_line: int
    last_line: int

    @property
    def length(self):
        return self.last_line - self.first_line + 1


@dataclass
class Prototype:
    """What a header declares, or defines inline."""

    name: str
    line: int
    documented: bool


def blank(match):
    """Spaces of the same shape, so that lines and columns stay."""
    return re.sub(r"[^\n]", " ", match.group())


def blank_token(match):
    """Comments vanish; of literals the quotes stay."""
    if match.group("comment"):
        return blank(match)
    text = match.group()
    return text[0] + " " * (len(text) - 2) + text[-1]


class Source:
    """One .c or .h file."""

    def __init__(self, path, text):
        self.path = Path(path)
        self.text = text
        self.lines = text.splitlines()
        self.code = TOKEN.sub(blank_token, text)
        self.line_starts = [0] + [match.end() for match in re.finditer("\n", text)]
        self.comments = [
            (self.line_at(match.start()), self.line_at(match.end() - 1))
            for match in TOKEN.finditer(text)
            if match.group("comment")
        ]
        self.statements = EXTERN_C.sub(blank, DIRECTIVE.sub(blank, self.code))

    @property
    def is_test(self):
        return self.path.name.endswith("_test.c")

    def line_at(self, offset):
        """The line, from 1, that the character lies on."""
        return bisect_right(self.line_starts, offset)

    def includes(self):
        """Pairs of line and name; the name keeps its quotes or brackets."""
        for match in INCLUDE.finditer(self.text):
            if self.code[match.start() : match.end()].strip():
                yield self.line_at(match.start("name")), match.group("name")

    def comment_line_count(self):
        """Lines that hold some part of a comment."""
        return len({line for first, last in self.comments for line in range(first, last + 1)})

    def top_level(self):
        """Yields (start, end, head, has_body) of each declaration outside all braces.

        head is the text without what stands in braces.
        """
        depth, start, head, has_body = 0, 0, "", False
        for offset, char in enumerate(self.statements):
            if depth == 0 and not head.strip():
                start, head = offset, ""
            if char == "{":
                has_body = has_body or (depth == 0 and head.rstrip().endswith(")"))
                depth += 1
            elif char == "}":
                depth = max(depth - 1, 0)
                if depth == 0 and has_body:
                    yield start, offset, head, True
                    head, has_body = "", False
            elif depth == 0 and char == ";":
                yield start, offset, head, False
                head = ""
            elif depth == 0:
                head += char

    def functions(self):
        """The functions with a body."""
        for start, end, head, has_body in self.top_level():
            match = PROTOTYPE.search(ATTRIBUTE.sub("", head))
            if has_body and match:
                yield Function(match.group("name"), self.line_at(start), self.line_at(end))

    def prototypes(self):
        """What a header declares. A comment on the line above documents a declaration and those that
        follow it without an empty line."""
        comment_ends = {last for _, last in self.comments}
        documented_until = 0
        for start, end, head, _ in self.top_level():
            first, last = self.line_at(start), self.line_at(end)
            documented = first - 1 in comment_ends or first - 1 == documented_until
            if documented:
                documented_until = last
            head = ATTRIBUTE.sub("", head)
            match = PROTOTYPE.search(head)
            if match and "=" not in head and not re.match(r"\s*(typedef|_Static_assert)\b", head):
                yield Prototype(match.group("name"), first, documented)
