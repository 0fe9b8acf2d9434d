"""A function of this program as a file that runs elsewhere: its source, and what that needs.

What a function uses is found in its code: modules become imports, functions and classes of the same program come along as
source, constants as their values, modules that lie beside the program as files. Nothing is pickled, so that what runs
there is what one can read, under whatever version of Python. What cannot be written down (an open connection, a loaded
model) is refused, with what to do instead.
"""
from __future__ import annotations

import __future__
import ast
import builtins
import dis
import inspect
import os
import re
import sys
import types
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Iterator, Optional, Sequence, Union

from tensord.client import ship_values, source_text
from tensord.client.content import File, collect
from tensord.errors import DeployError

MODULE = "model.py"


@dataclass
class _Written:
    """The file that is written."""

    home: str  # the module of the function; its own definitions are the program's
    imports: dict = field(default_factory=dict)  # name: line
    definitions: dict = field(default_factory=dict)  # name: source, in the order of need
    lazy_annotations: bool = False
    files: dict = field(default_factory=dict)  # path there: File

    def text(self, title: str) -> str:
        """The file's text."""
        lines = sorted(set(self.imports.values()))
        if self.lazy_annotations:
            lines.insert(0, "from __future__ import annotations\n")
        return "\n\n\n".join([f'"""{title}"""\n' + "\n".join(lines), *self.definitions.values()]) + "\n"

    def is_ours(self, home: Optional[str]) -> bool:
        """Is a definition of that module the program's own, so that there is nothing to import there?"""
        return home in (None, "__main__", self.home) or home not in sys.modules


def ship(function: Callable, files: Sequence[Union[str, Path]] = ()) -> list[File]:
    """The files to push for a function or a class; the first is model.py. `files` name further files and folders that come
    along by their own names.

    DeployError says what of it cannot be shipped, and what to do.
    """
    function = inspect.unwrap(function)
    if not inspect.isfunction(function) and not inspect.isclass(function):
        raise DeployError(f"a function or a class can be deployed, not {_described(function)}")
    written = _Written(function.__module__)
    _add(written, function.__name__, function, [])
    written.imports["tensord"] = "import tensord"
    source = written.definitions.pop(function.__name__)
    written.definitions[function.__name__] = f"@tensord.model\n{source}"
    title = f"{function.__name__}, as it was deployed{_origin(function)}."
    shipped = [File(MODULE, data=written.text(title).encode()), *written.files.values()]
    for path in map(Path, files):
        prefix = f"{path.resolve().name}/" if path.is_dir() else ""
        shipped += [File(prefix + one.path, one.local, one.data) for one in collect(path)]
    return shipped


def _origin(function: Any) -> str:
    try:
        name = Path(inspect.getsourcefile(function) or "").name
    except (OSError, TypeError):
        return ""
    return f" from {name}" if name.endswith(".py") and not name[:-3].isdigit() else ""


def _described(value: Any) -> str:
    kind = type(value)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


# ---- definitions ----


def _source_of(value: Any) -> str:
    """The source of a function or class, without its indentation and the decorator that deploys it."""
    name = value.__name__
    if name == "<lambda>":
        raise DeployError("a lambda cannot be sent as source; write a function with def")
    try:
        source = source_text.of_definition(value)
        tree = ast.parse(source).body[0]
    except OSError:
        raise DeployError(f"the source of '{name}' is not to be had, as of what is typed into a plain prompt; put it into a "
                          "file or a notebook") from None
    except (SyntaxError, IndexError):
        tree = None
    if not isinstance(tree, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        raise DeployError(f"the source of '{name}' cannot be taken out of its file; define it by a def of its own")
    decorators = tree.decorator_list
    deploy = max((i for i, one in enumerate(decorators) if _is_deploy(one)), default=-1)
    first = min(one.lineno for one in (*decorators[deploy + 1:], tree))
    return "\n".join(source.splitlines()[first - 1:tree.end_lineno]).rstrip()


def _is_deploy(decorator: ast.expr) -> bool:
    target = decorator.func if isinstance(decorator, ast.Call) else decorator
    return isinstance(target, ast.Attribute) and target.attr == "deploy"


def _names(source: str) -> Iterator[str]:
    """The names that a definition does not define itself, in the order of their use."""
    yield from _global_names(compile(source, "<deployed>", "exec", dont_inherit=True))
    for node in ast.walk(ast.parse(source)):
        quoted = [getattr(node, "annotation", None), getattr(node, "returns", None)]
        for one in quoted:
            if isinstance(one, ast.Constant) and isinstance(one.value, str):
                yield from re.findall(r"[A-Za-z_]\w*", one.value)


def _chains(source: str) -> Iterator[list]:
    """Names with their attributes, ["xml", "etree", "parse"]."""
    for node in ast.walk(ast.parse(source)):
        chain: list = []
        one: Any = node
        while isinstance(one, ast.Attribute):
            chain.insert(0, one.attr)
            one = one.value
        if chain and isinstance(one, ast.Name):
            yield [one.id, *chain]


def _need_submodules(written: "_Written", chain: list, scope: dict) -> None:
    """Modules within a package that are used as its attributes are imported there, too."""
    value = scope.get(chain[0])
    for attribute in chain[1:]:
        if not inspect.ismodule(value):
            return
        inner, value = f"{value.__name__}.{attribute}", getattr(value, attribute, None)
        if inspect.ismodule(value) and sys.modules.get(inner) is value:
            written.imports[inner] = f"import {inner}"


def _is_special(name: str) -> bool:
    """Is it a name that every module has by itself?"""
    return name.startswith("__") and name.endswith("__")


def _global_names(code: types.CodeType) -> Iterator[str]:
    for instruction in dis.get_instructions(code):
        if instruction.opname.startswith(("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS")):
            yield instruction.argval
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _global_names(constant)


def _functions(value: Any) -> list:
    """A function, or those of a class."""
    if inspect.isfunction(value):
        return [value]
    found = [getattr(one, "__func__", getattr(one, "fget", one)) for one in vars(value).values()]
    return [one for one in found if inspect.isfunction(one)]


def _scope(value: Any) -> dict:
    """What the names of a definition mean."""
    scope = dict(vars(sys.modules[value.__module__])) if value.__module__ in sys.modules else {}
    for function in _functions(value):
        scope.update(function.__globals__)
    for function in _functions(value):
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or ()):
            try:
                scope[name] = cell.cell_contents
            except ValueError:
                raise DeployError(f"'{name}', which '{value.__name__}' uses, has no value yet") from None
    return scope


def _add(written: _Written, name: str, value: Any, users: list) -> None:
    """Writes a function or class, after what it needs."""
    if name in written.definitions:
        return
    source = _source_of(value)
    if name != value.__name__:
        raise DeployError(f"'{users[-1]}' uses '{value.__name__}' under the name '{name}'; use the name that its def has")
    flag = __future__.annotations.compiler_flag
    written.lazy_annotations |= any(one.__code__.co_flags & flag for one in _functions(value))
    written.definitions[name] = ""  # so that what uses it in turn does not begin anew
    scope = _scope(value)
    for one in dict.fromkeys(_names(source)):
        if one in scope and one != name and not _is_special(one):
            _need(written, one, scope[one], [*users, name])
    for chain in _chains(source):
        _need_submodules(written, chain, scope)
    del written.definitions[name]
    written.definitions[name] = source


def _need(written: _Written, name: str, value: Any, users: list) -> None:
    """Sees to it that a name means there what it means here."""
    if name in written.definitions or name in written.imports or getattr(builtins, name, None) is value:
        return
    home, called = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    if inspect.ismodule(value):
        _bring_module(written, value, users)
        written.imports[name] = _import(name, "os.path" if value is os.path else value.__name__)
    elif (inspect.isfunction(value) or inspect.isclass(value)) and written.is_ours(home):
        _add(written, name, inspect.unwrap(value) if inspect.isfunction(value) else value, users)
    elif home in sys.modules and called and getattr(sys.modules[home], called, None) is value:
        _bring_module(written, sys.modules[home], users)
        written.imports[name] = _import(name, home, called)
    elif (found := _found_in(written, name, value)) is not None:
        written.imports[name] = _import(name, found, name)
    elif (text := ship_values.constant(value)) is not None:
        written.definitions[name] = f"{name} = {text}"
        if text.startswith("numpy."):
            written.imports["numpy"] = "import numpy"
    elif (assigned := ship_values.assignment(name, value, sys.modules.get(written.home))) is not None:
        for one in dict.fromkeys(_names(assigned)):
            scope = vars(sys.modules[written.home])
            if one in scope and one != name:
                _need(written, one, scope[one], [*users, name])
        written.definitions[name] = assigned
    else:
        raise DeployError(
            f"'{users[-1]}' uses '{name}', {_described(value)}, which cannot be sent as source; make it inside the function, "
            "or once in the __init__ of a class, or put it into a file and name that in files=[…]")


def _import(name: str, home: str, attribute: Optional[str] = None) -> str:
    """The line that gives a name its meaning."""
    if attribute is not None:
        return f"from {home} import {attribute}" + (f" as {name}" if name != attribute else "")
    if name == home.partition(".")[0]:
        return f"import {home}"
    return f"import {home} as {name}"


def _found_in(written: _Written, name: str, value: Any) -> Optional[str]:
    """The package of an object that is known by this name there and does not say so itself, such as typing.Any."""
    homes = [getattr(value, "__module__", None), type(value).__module__]
    for home in [*homes, *(one.partition(".")[0] for one in homes if one)]:
        if home and home != "builtins" and not written.is_ours(home) and getattr(sys.modules[home], name, None) is value:
            return home
    return None


def _bring_module(written: _Written, value: types.ModuleType, users: list) -> None:
    """A module that lies beside the program comes along as a file; what is installed is imported there."""
    top = sys.modules.get(value.__name__.partition(".")[0], value)
    file = getattr(top, "__file__", None)
    if top.__name__ == "tensord" or file is None or ship_values.is_installed(file):
        return
    source = Path(file)
    if source.suffix != ".py":
        raise DeployError(f"'{users[-1]}' uses the module '{top.__name__}', which is compiled; name the package that brings "
                          "it in requirements=[…]")
    if source.stem == "__init__":
        found = [File(f"{top.__name__}/{one.path}", one.local) for one in collect(source.parent)]
    else:
        found = [File(source.name, source)]
    if any(one.path == MODULE for one in found):
        raise DeployError(f"the module '{top.__name__}' would be in the way of {MODULE}; give it another name")
    written.files.update((one.path, one) for one in found)
