#!/usr/bin/env python3
"""Compares the start of ONNX Runtime's function table, as api.h declares it, with a published one:
the header onnxruntime_c_api.h, or the Rust bindings of the crate ort-sys (src/lib.rs).

usage: api_test.py API_H PUBLISHED
Skipped (77) where PUBLISHED is not there. All members are pointers, so that the order of their
names is all there is to their offsets.
"""
import re
import sys
from pathlib import Path

SKIPPED = 77


def strip_comments(text):
    return re.sub(r"/\*.*?\*/|//[^\n]*", "", text, flags=re.S)


def body(text, start, end):
    """What stands between the line that starts a struct and its end."""
    return text[text.index(start) + len(start):].split(end, 1)[0]


def declared(text):
    """Our members: a pointer to a function `(*Name)(…)`, or unused ones `*A, *B`."""
    names = []
    for statement in body(strip_comments(text), "struct ort_api {", "\n};").split(";"):
        unused = "ort_unused" in statement
        names += re.findall(r"\*\s*(\w+)", statement) if unused else re.findall(r"\(\*(\w+)\)", statement)[:1]
    return names


def published_header(text):
    """The members of struct OrtApi, in C: by macros, or pointers to functions in full."""
    member = r"ORT_API2_STATUS\((\w+)|ORT_CLASS_RELEASE2?\((\w+)\)|\(\s*ORT_API_CALL\s*\*\s*(\w+)\)"
    found = re.findall(member, body(strip_comments(text), "struct OrtApi {", "\n};"))
    return [status or (release and "Release" + release) or pointer for status, release, pointer in found]


def published_crate(text):
    """The fields of struct OrtApi, in Rust; one that differs by platform stands there twice."""
    names = re.findall(r"^\s*pub (\w+):", body(text, "pub struct OrtApi {", "\n}"), re.M)
    return [name for i, name in enumerate(names) if i == 0 or names[i - 1] != name]


def first_difference(ours, theirs):
    """The index of the first of our members that is another one in theirs, or None."""
    for i, name in enumerate(ours):
        if i >= len(theirs) or theirs[i] != name:
            return i
    return None


def main():
    api, published = Path(sys.argv[1]), Path(sys.argv[2])
    if not published.is_file():
        print(f"skipped: there is no {published} to compare with")
        return SKIPPED
    ours = declared(api.read_text())
    text = published.read_text()
    theirs = published_crate(text) if published.suffix == ".rs" else published_header(text)
    # The comparison must see a table that is off by one, or it proves nothing.
    assert len(theirs) > 200 and first_difference(theirs[:100] + theirs[101:], theirs) == 100
    different = first_difference(ours, theirs)
    if different is not None:
        print(f"member {different} is {ours[different]} here and {theirs[different:different + 1]} there")
        return 1
    print(f"{len(ours)} members agree")
    return 0


if __name__ == "__main__":
    sys.exit(main())
