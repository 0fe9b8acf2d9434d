"""A model that is a function, or an object of a class: what it takes and gives follows from its annotations."""
from collections.abc import Callable, Iterator
from types import FunctionType, MethodType, ModuleType
from typing import Any

import _channel

from tensord.worker import kinds
from tensord.worker.annotations import describe
from tensord.worker.kinds import Kind
from tensord.worker.model import Source, TensorInfo
from tensord.worker.typeinfo import hints, streamed, without_optional

_GENERATOR, _COROUTINE, _ASYNC_GENERATOR = 0x20, 0x80, 0x200  # of code objects' co_flags
_KEYWORD_COUNT = 0x04  # *args; 0x08: **kwargs


# ---- which function ----


def find_target(module: ModuleType, named: str | None) -> Any:
    """The function or class that serves: the one that is named or marked, `predict`, or the only public one."""
    if named:
        if not hasattr(module, named):
            raise AttributeError(f"the config names the function '{named}', which the file does not have")
        return getattr(module, named)
    own = {n: v for n, v in vars(module).items() if getattr(v, "__module__", None) == module.__name__}
    marked = [v for v in own.values() if hasattr(v, "__tensord__")]
    if len(marked) == 1:
        return marked[0]
    if "predict" in vars(module):
        return module.predict
    public = {n: v for n, v in own.items() if not n.startswith("_") and isinstance(v, (FunctionType, type))}
    serving = {n: v for n, v in public.items() if not isinstance(v, type) or _method_of(v)}
    if len(serving) != 1:
        found = ", ".join(sorted(serving)) or "none"
        raise TypeError(f"which function is the model? Call it predict, or mark it with @tensord.model (found: {found})")
    return next(iter(serving.values()))


def _method_of(target: type) -> str | None:
    return next((name for name in ("predict", "__call__") if name in vars(target)), None)


def make(target: Any, source: Source) -> tuple[Any, Any]:
    """(the object that is set up, what is called)."""
    if not isinstance(target, type):
        return target, target if hasattr(target, "__code__") or hasattr(target, "__wrapped__") else target.__call__
    method = next((name for name in ("predict", "__call__") if callable(getattr(target, name, None))), None)
    if method is None:
        raise TypeError(f"the class {target.__name__} has neither predict nor __call__")
    code = getattr(target.__init__, "__code__", None)
    wanted = code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount] if code else ()
    given = {"parameters": source.parameters, "source": source}
    made = target(**{name: given[name] for name in wanted if name in given})
    return made, getattr(made, method)


# ---- its inputs and outputs ----


class Signature:
    """What a function takes and gives, as kinds."""

    def __init__(self, function: Any, options: dict[str, Any]) -> None:
        plain = function.__func__ if isinstance(function, MethodType) else function
        outer = getattr(getattr(plain, "__code__", None), "co_flags", 0)
        while hasattr(plain, "__wrapped__"):  # by a decorator, whose own parameters are *args and **kwargs
            plain = plain.__wrapped__
        code = getattr(plain, "__code__", None)
        if code is None:
            raise TypeError(f"{function!r} is no function of Python's")
        if code.co_flags & (_KEYWORD_COUNT | 0x08):
            raise TypeError("a model's inputs have names: *args and **kwargs cannot be described")
        self.flags: int = code.co_flags | outer & (_COROUTINE | _ASYNC_GENERATOR)
        count = code.co_argcount + code.co_kwonlyargcount
        first = 1 if isinstance(function, MethodType) else 0
        names = code.co_varnames[first:count]
        self.positional = code.co_varnames[first : code.co_posonlyargcount]
        self.keywords = set(code.co_varnames[code.co_argcount : count])
        types = hints(plain)
        defaults = plain.__defaults__ or ()
        with_default = code.co_varnames[code.co_argcount - len(defaults) : code.co_argcount]
        self.defaults = {**dict(zip(with_default, defaults)), **(plain.__kwdefaults__ or {})}
        self.parameters = self._parameters(names, types)
        self.output = self._output(types, options)

    def _parameters(self, names: tuple[str, ...], types: dict[str, Any]) -> dict[str, Kind | None]:
        """By names; None for the request itself."""
        values = [name for name in names if not _is_request(types.get(name))]
        found: dict[str, Kind | None] = {}
        for name in names:
            if name not in values:
                found[name] = None
                continue
            kind = found[name] = _parameter(types.get(name), name, alone=len(values) == 1)
            may_be_none = without_optional(types.get(name))[1]
            kind.nullable = may_be_none and name not in self.defaults
            for info in kind.infos:
                info.optional = info.optional or may_be_none or name in self.defaults
        return found

    def _output(self, types: dict[str, Any], options: dict[str, Any]) -> Kind:
        annotation, iterator = streamed(types.get("return"))
        if iterator.startswith("Async"):  # of an async generator, or of a function that gives one
            self.flags |= _ASYNC_GENERATOR
        self.streams = bool(iterator) or bool(self.flags & (_GENERATOR | _ASYNC_GENERATOR))
        if "return" not in types:
            return kinds.array("output")
        if annotation is None or annotation is type(None):
            return kinds.several([])
        names = options.get("outputs", ())
        if getattr(annotation, "__origin__", None) is tuple and Ellipsis not in annotation.__args__:
            names = names or [f"output{i}" for i in range(len(annotation.__args__))]
            if len(names) != len(annotation.__args__):
                raise TypeError(f"the function gives {len(annotation.__args__)} outputs, not {len(names)}")
            return kinds.several([describe(one, name) for one, name in zip(annotation.__args__, names)])
        return describe(annotation, names[0] if names else "output")


def _is_request(annotation: Any) -> bool:
    return annotation is _channel.Request


def _parameter(annotation: Any, name: str, alone: bool) -> Kind:
    if annotation is None:
        return kinds.array(name)
    kind = describe(without_optional(annotation)[0], name)
    if kind.is_record and not alone:
        for info in kind.infos:
            info.name = f"{name}.{info.name}"
    return kind


# ---- the model ----


class FunctionModel:
    """Serves a function."""

    platform = "python"

    def __init__(self, module: ModuleType, source: Source) -> None:
        target = find_target(module, source.parameters.get("function"))
        options = getattr(target, "__tensord__", {})
        self.made, function = make(target, source)
        signature = Signature(function, options)
        self.inputs = [info for kind in signature.parameters.values() if kind for info in kind.infos]
        self.outputs = signature.output.infos
        adopt_config(self.inputs, source.inputs, "input")
        adopt_config(self.outputs, source.outputs, "output")
        self.streams = signature.streams
        self.batching = batching(self, options.get("batch"))
        self.max_batch_size: int = options.get("max_batch_size", 0)
        self.concurrency: int = options.get("concurrency", 0)
        called = bind(function, signature)
        if signature.flags & (_COROUTINE | _ASYNC_GENERATOR):
            from tensord.worker.loop import AsyncRunner

            self.concurrency = self.concurrency or 64
            runner = AsyncRunner(called, signature.output.give, signature.streams, self.concurrency)
            self.start, self.cancel = runner.start, runner.cancel
        else:
            self.call = finish(called, signature)

    def unload(self) -> None:
        """Lets an object of a class close itself."""
        close = getattr(self.made, "close", None)
        if close is not None and not isinstance(self.made, FunctionType):
            close()


def adopt_config(infos: list[TensorInfo], declared: list[TensorInfo], what: str) -> None:
    """A config says of arrays what their annotations leave open; it may not contradict."""
    if not declared:
        return
    by_name = {info.name: info for info in declared}
    own = {info.name for info in infos}
    if by_name.keys() != own:
        raise TypeError(f"the config declares the {what}s {sorted(by_name)}, the function has {sorted(own)}")
    for info in infos:
        config = by_name[info.name]
        if info.form == "array" and info.any_rank and info.datatype != "BYTES":
            info.datatype, info.shape, info.any_rank = config.datatype, config.shape, config.any_rank
        elif info.datatype != config.datatype:
            raise TypeError(f"the config declares {what} '{info.name}' as {config.datatype}, the function {info.datatype}")


def batching(model: FunctionModel, wanted: bool | None) -> bool | None:
    """What to say of joining requests: None, so that the host finds out, where the shapes suggest it."""
    tensors = model.inputs + model.outputs
    has_rows = all(info.shape[:1] == [-1] for info in tensors)
    if wanted and not has_rows:
        fixed = next(info.name for info in tensors if info.shape[:1] != [-1])
        raise TypeError(f"batch=True needs a first dimension of any size everywhere; '{fixed}' has none")
    if wanted is not None:
        return wanted and not model.streams
    declared = all(info.form == "array" and not info.any_rank for info in tensors)
    return None if declared and has_rows and model.inputs and model.outputs else False


def bind(function: Callable[..., Any], signature: Signature) -> Callable[..., Any]:
    """The function, called with a value for each tensor: itself, when that is what it takes."""
    rows = list(signature.parameters.items())
    if not signature.keywords and all(kind and kind.take is None and not kind.infos[0].optional for _, kind in rows):
        return function
    plan = []
    at = 0
    for name, kind in rows:
        size = len(kind.infos) if kind else 0
        plan.append((name, kind, at, at + size))
        at += size

    def called(*values: Any) -> Any:
        arguments: dict[str, Any] = {}
        for name, kind, first, end in plan:
            if kind is None:
                arguments[name] = current()
                continue
            given = values[first:end]
            if all(value is None for value in given):
                if kind.nullable:
                    arguments[name] = None
                continue  # its default
            arguments[name] = kind.take(*given) if kind.take else given[0]
        if not signature.positional:
            return function(**arguments)
        leading = [arguments.pop(name) if name in arguments else signature.defaults[name] for name in signature.positional]
        return function(*leading, **arguments)

    return called


def finish(called: Callable[..., Any], signature: Signature) -> Callable[..., Any]:
    """What is called, giving what is sent."""
    give = signature.output.give
    if give is None:
        return called
    if not signature.streams:
        if not signature.output.infos:
            return lambda *values: give(called(*values) or ())
        return lambda *values: give(called(*values))

    def items(*values: Any) -> Iterator[Any]:
        for item in called(*values):
            yield give(item)

    return items


def current() -> Any:
    """The request that is being executed."""
    from tensord.worker.requests import current as find

    return find()
