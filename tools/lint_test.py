"""Each rule of the lint is seen to refuse what it is for, and to accept its like done well."""
import json
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import lint  # noqa: E402
from csource import Source  # noqa: E402

MODULES = "base:\nnet: base\ncmd: *\n"


@pytest.fixture
def findings(tmp_path):
    """Runs one rule over a made-up tree and returns what it says."""

    def run(rule, files):
        for name, text in {"tools/modules.txt": MODULES, **files}.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return [str(finding) for finding in rule(lint.Tree(tmp_path))]

    return run


def long_function(lines):
    return "/* x */\nint f(void)\n{\n" + "    g();\n" * (lines - 3) + "}\n"


def guarded(guard):
    return f"/* x */\n#ifndef {guard}\n#define {guard}\n#endif\n"


def header(body):
    return f"/* x */\n#ifndef X\n#define X\n\n{body}\n#endif\n"


REFUSED = [
    (lint.module_graph, {"src/base/a.c": '/* x */\n#include "net/b.h"\n'}, "may not include 'net'"),
    (lint.module_graph, {"src/net/a.c": '#include "b.h"\n'}, "not written from src/"),
    (lint.module_graph, {"src/new/a.c": "\n"}, "not in tools/modules.txt"),
    (lint.module_cycles, {"tools/modules.txt": "a: b\nb: c\nc: a\nd:\n"}, "a cycle among: a b c"),
    (lint.engine_includes, {"engines/a.c": '#include "base/span.h"\n', "src/base/span.h": ""}, "base/span.h"),
    (lint.function_length, {"src/base/a.c": long_function(101)}, "f has 101 lines"),
    (lint.file_length, {"src/base/a.c": "\n" * 801}, "801 lines"),
    (lint.file_length, {"tools/a.py": "\n" * 801}, "801 lines"),
    (lint.documented_prototypes, {"include/tensord/a.h": header("int f(void);\n")}, "f has no comment"),
    (lint.documented_prototypes, {"src/base/a.h": header("int f(void);\n")}, "f has no comment"),
    (lint.unfinished, {"docs/a.md": "TO" "DO: think\n"}, "in the tree"),
    (lint.unfinished, {"src/base/a.c": "/* FIX" "ME */\n"}, "in the tree"),
    (lint.opening_comment, {"src/base/a.c": "#include <x.h>\n/* x */\n"}, "does not open"),
    (lint.header_guard, {"src/base/a.h": guarded("BASE_A_H")}, "TENSORD_BASE_A_H"),
    (lint.blanks, {"src/base/a.c": "/* x */\n\tint x;\n"}, "a tab"),
    (lint.blanks, {"src/base/a.c": "int x; \n"}, "a blank"),
    (lint.blanks, {"src/base/a.c": "int x;"}, "one newline"),
    (lint.folder_readme, {"src/base/a.c": ""}, "src/base/README.md"),
    (lint.folder_readme, {"proto/a.proto": ""}, "proto/README.md"),
    (lint.named_files, {"src/base/README.md": "`a.c`, `base/b.h`", "src/base/a.c": ""}, "'base/b.h' is not there"),
    (lint.named_files, {"ARCHITECTURE.md": "`net`", "src/base/a.c": ""}, "does not name the module 'base'"),
    (lint.formatting, {"src/base/a.c": "int  x;\n"}, "clang-format"),
]

ACCEPTED = [
    (lint.module_graph, {"src/net/a.c": '#include "base/b.h"\n#include "tensord/engine.h"\n#include <uv.h>\n'}),
    (lint.module_graph, {"src/base/a.c": '/* #include "net/b.h" */\n'}),
    (lint.module_graph, {"src/cmd/a.c": '#include "net/b.h"\n'}),
    (lint.module_cycles, {}),
    (lint.engine_includes, {"engines/a.c": '#include "tensord/engine.h"\n#include <math.h>\n'}),
    (lint.engine_includes, {"engines/o/a.c": '#include "o/b.h"\n', "engines/o/b.h": ""}),
    (lint.function_length, {"src/base/a.c": long_function(100)}),
    (lint.file_length, {"src/base/a.c": "\n" * 800}),
    (lint.documented_prototypes, {"src/base/a.h": header("/* Does it. */\nint f(void);\nint g(int a,\n  int b);")}),
    (lint.documented_prototypes, {"src/base/a.h": header("struct a {\n    int (*f)(void);\n};")}),
    (lint.banned_calls, {"src/base/a.c": '/* system(x) */ a->system("gets(x)"); my_atoi(1);\n'}),
    (lint.opening_comment, {"src/base/a.c": "/* x */\n"}),
    (lint.header_guard, {"src/base/a.h": guarded("TENSORD_BASE_A_H")}),
    (lint.header_guard, {"include/tensord/engine.h": guarded("TENSORD_ENGINE_H")}),
    (lint.header_guard, {"engines/o/b.h": guarded("TENSORD_ENGINES_O_B_H")}),
    (lint.blanks, {"src/base/a.c": "int x;\n"}),
    (lint.folder_readme, {"tools/README.md": "", "src/README.md": "", "src/base/a.c": "", "src/base/README.md": "# base\n"}),
    (lint.folder_readme, {"tools/README.md": "", ".ci/run": "", "proto/a.proto": "", "proto/README.md": ""}),
    (lint.named_files, {"ARCHITECTURE.md": "`base`: `src/base/a.c`, `a.c`", "src/base/a.c": ""}),
    (lint.formatting, {"src/base/a.c": "int x;\n"}),
]


@pytest.mark.parametrize("rule, files, reason", REFUSED)
def test_refuses(findings, rule, files, reason):
    assert any(reason in finding for finding in findings(rule, files))


@pytest.mark.parametrize("rule, files", ACCEPTED)
def test_accepts(findings, rule, files):
    assert findings(rule, files) == []


@pytest.mark.parametrize("name", lint.BANNED_CALLS.split())
def test_refuses_each_banned_call(findings, name):
    assert findings(lint.banned_calls, {"src/base/a.c": f"/* x */\nint x = {name} (y);\n"})


def test_every_rule_is_seen_to_refuse():
    assert {rule for rule, *_ in REFUSED} | {lint.banned_calls} == set(lint.RULES)


def test_one_bare_prototype_in_twenty_is_let_pass_in_src(findings):
    documented = "".join(f"/* Does {n}. */\nint f{n}(void);\n\n" for n in range(19))
    assert not findings(lint.documented_prototypes, {"src/base/a.h": header(documented + "int g(void);\n")})


def test_a_tool_that_is_not_there_is_a_finding(tmp_path):
    (tmp_path / "tools").mkdir()
    (finding,) = lint.run_tool(lint.Tree(tmp_path), "no-such-tool")
    assert "not installed" in str(finding)


TWICE = """/* x */
#include <stdlib.h>
char *f(int n);
char *f(int n)
{
    char *p = n ? malloc(1) : NULL;
    free(p);
    free(p); /* a comment%s */
    return p;
}
"""


@pytest.fixture(params=[(lint.gcc_analyzer, "gcc"), (lint.clang_analyzer, "clang-19")], ids=["gcc", "clang"])
def analyzed(request, findings, tmp_path):
    """Runs an analyzer over a file of a made-up build."""
    rule, compiler = request.param
    command = f"{compiler} -O2 -Werror -MD -MF a.d -o a.o -c ../src/a.c"
    build = json.dumps([{"directory": str(tmp_path / "build"), "file": "../src/a.c", "command": command}])
    return lambda text: findings(rule, {"build/compile_commands.json": build, "src/a.c": text})


def test_the_analyzers_find_what_is_freed_twice(analyzed):
    assert any("free" in finding and finding.startswith("src/a.c:") for finding in analyzed(TWICE % ""))


def test_a_finding_with_a_reason_is_none(analyzed):
    assert not analyzed(TWICE % " -Wanalyzer-double-free -Wanalyzer-use-after-free NOLINT(clang-analyzer-unix.Malloc): why")


def test_a_file_that_does_not_compile_is_a_finding(analyzed):
    assert analyzed("/* x */\nint f(\n")


def test_the_program_exits_1_when_there_are_findings(tmp_path):
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "modules.txt").write_text(MODULES)
    (tmp_path / "tools" / "README.md").write_text("# tools\n")
    command = [sys.executable, lint.__file__, "--root", str(tmp_path)]
    assert subprocess.run(command, capture_output=True).returncode == 0
    (tmp_path / "src" / "base").mkdir(parents=True)
    (tmp_path / "src" / "base" / "a.c").write_text("int x;\n")
    assert subprocess.run(command, capture_output=True).returncode == 1


def test_functions_are_found_and_measured():
    text = (
        "/* x */\n#define M(a) \\\n    { a(); }\nstruct s {\n    int (*f)(void);\n};\n"
        'static const char *brace = "{";\nint x[] = {1, 2};\n'
        "static int\nf(char c)\n{\n    if (c == '}') {\n    }\n    return 1;\n}\n"
        "__attribute__((noreturn)) void g(void)\n{\n}\n"
    )
    found = [(f.name, f.first_line, f.last_line) for f in Source("a.c", text).functions()]
    assert found == [("f", 9, 15), ("g", 16, 18)]


def test_prototypes_behind_extern_c_are_found():
    text = 'extern "C" {\n/* Does it. */\nint f(void)\n    __attribute__((format(printf, 1, 2)));\n\nint g(void);\n}\n'
    found = [(p.name, p.documented) for p in Source("a.h", text).prototypes()]
    assert found == [("f", True), ("g", False)]
