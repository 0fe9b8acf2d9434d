#!/usr/bin/env python3
"""Writes a header with openapi.json and docs.html as C strings: openapi_embed.py JSON HTML OUT."""
import json
import sys
from pathlib import Path


def literal(text):
    """C's string literals and JSON's agree on printable ASCII and these escapes; trigraphs are none in C17 with GNU's names."""
    assert text.isascii()
    return json.dumps(text)


def members(schemas):
    """The members of an object, without its braces."""
    return json.dumps(schemas, separators=(",", ":"))[1:-1]


def main(schemas, page, out):
    kinds = json.loads(Path(schemas).read_text())
    texts = {f"openapi_{kind}_schemas": members(kinds[kind]) for kind in ("shared", "generic")}
    texts["docs_page"] = Path(page).read_text()
    lines = [f"static const char {name}[] = {literal(text)};\n" for name, text in texts.items()]
    Path(out).write_text("/* Written by openapi_embed.py. */\n" + "".join(lines))


if __name__ == "__main__":
    main(*sys.argv[1:])
