"""Measures of the tree, to live by and not to game; `./dev lint --figures`."""
from statistics import median, quantiles

from lint import undocumented


def percentile_99(values):
    """The value that 99 of 100 do not pass."""
    return round(quantiles(values, n=100)[98]) if len(values) > 1 else max(values, default=0)


def headers_reached(tree, source):
    """Lines of our own headers that one .c includes, directly or not."""
    by_name = {"/".join(s.path.parts[1:]): s for s in tree.sources if s.path.suffix == ".h"}
    reached, waiting = {}, [source]
    while waiting:
        for _, name in waiting.pop().includes():
            header = by_name.get(name[1:-1])
            if header and name not in reached:
                reached[name] = len(header.lines)
                waiting.append(header)
    return sum(reached.values())


def comment_share(sources):
    """Comment lines per line that is not empty."""
    lines = sum(1 for source in sources for line in source.lines if line.strip())
    return sum(source.comment_line_count() for source in sources) / max(lines, 1)


def test_lines(tree):
    """Lines of tests, in C beside the code and in Python through the wire."""
    python = [path for path in tree.paths if path.parts[0] == "tests" and path.suffix == ".py"]
    return sum(len(s.lines) for s in tree.sources if s.is_test) + sum(
        tree.read(path).count("\n") for path in python
    )


def untested(code):
    """The .c files of src/ that have no test beside them."""
    tested = {s.path.with_name(s.path.name.replace("_test.c", ".c")) for s in code if s.is_test}
    return [str(s.path) for s in code if s.path.suffix == ".c" and not s.is_test and s.path not in tested]


def documented(tree, folder):
    """Prototypes with a comment, of all, as text."""
    bare, total = undocumented(tree, folder)
    return f"{100 * (total - len(bare)) / max(total, 1):.1f} % of {total}"


def measure(tree):
    """Yields rows of name, value and what we aim at."""
    code = [s for s in tree.sources if s.path.parts[0] in ("src", "engines", "include")]
    product = [s for s in code if not s.is_test]
    bodies = [s for s in product if s.path.suffix == ".c"]
    headers = [s for s in product if s.path.suffix == ".h"]
    functions = [function.length for source in product for function in source.functions()]
    sizes = [len(source.lines) for source in bodies]
    source_lines = sum(len(source.lines) for source in product)
    yield "function length, median", median(functions or [0]), "<= 12"
    yield "function length, 99th percentile", percentile_99(functions), "<= 60"
    yield "function length, longest", max(functions, default=0), "<= 100"
    yield "lines per .c, median", median(sizes or [0]), "<= 200"
    yield "lines per .c, largest", max(sizes, default=0), "<= 800"
    yield "own header lines reached by one .c, most", max(headers_reached(tree, s) for s in bodies), "<= 1200"
    yield "documented prototypes, include/", documented(tree, "include"), "100 %"
    yield "documented prototypes, src/", documented(tree, "src"), ">= 95 %"
    yield "comment share, all", f"{comment_share(product):.2f}", "0.20"
    yield "comment share, headers", f"{comment_share(headers):.2f}", "0.45"
    yield "source lines", source_lines, ""
    yield "test lines per source line", f"{test_lines(tree) / max(source_lines, 1):.2f}", ">= 1.0"


def show(tree):
    """Prints the measures, then the files without a test beside them."""
    for name, value, aim in measure(tree):
        print(f"{name:45} {value!s:>16}   {aim}")
    without = untested(tree.under("src"))
    print(f"{'.c files in src/ without a test beside them':45} {len(without):>16}")
    for path in without:
        print("  " + path)
