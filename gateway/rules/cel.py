"""CEL, the Common Expression Language, as a filter: an extra (`isthmus[cel]`).

The context attributes are variables, and `data` is the parsed data. There is no
variable for what an event does not have: `has(attributes.subject)` asks first.
Whatever CEL calls an error, and any value but true, keeps the event out. Unlike
in CEL, `size` of a text is that of its UTF-8 in bytes: so the library counts.

An expression that could take long is refused beforehand (cel_bounds.py).
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Protocol, TypeVar

from gateway.codec.validate import CORE, is_extension_name
from gateway.core.errors import ConfigError
from gateway.core.event import canonical
from gateway.rules.cel_bounds import check_size, check_time
from gateway.rules.lens import ABSENT, Lens
from gateway.rules.rule import Rule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from gateway.core.event import Event

MAX_DATA = 256 * 1024
"""Bytes of data that are looked into: the evaluator takes 3 µs an element, and cannot be interrupted."""
SHOWN = 80
"""Characters of a value in an explanation."""

_FUNCTIONS = frozenset(
    (
        "size",
        "contains",
        "startsWith",
        "endsWith",
        "matches",
        "int",
        "uint",
        "double",
        "string",
        "bytes",
        "dyn",
        "type",
        "has",
        "timestamp",
        "duration",
        "getFullYear",
        "getMonth",
        "getDayOfYear",
        "getDayOfMonth",
        "getDate",
        "getDayOfWeek",
        "getHours",
        "getMinutes",
        "getSeconds",
        "getMilliseconds",
    )
)
_TYPES = frozenset({"int", "uint", "double", "bool", "string", "bytes", "list", "map", "null_type"})
_EVERY = "attributes"
_FAILURES = (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError)
"""What an evaluation ends with when CEL has no value for it."""


_Given = TypeVar("_Given")
_Got = TypeVar("_Got")


class _Program(Protocol):
    """A compiled expression of the library."""

    def execute(self, context: dict[str, object], /) -> object: ...
    def variables(self) -> list[str]: ...
    def functions(self) -> list[str]: ...


def compile_cel(spec: object, path: str = "cel", *, lens: Lens | None = None) -> Rule:
    """Compile an expression; it looks at all of the data where it names `data`.

    :raises ConfigError: it does not compile, could run for long, or the extra is not installed.
    """
    if not isinstance(spec, str) or not spec.strip():
        raise ConfigError(f"{path}: expected a CEL expression, got {spec!a:.40}")
    tokens = check_size(spec, path)
    program = _program(spec, path)
    named = _named(program, check_time(tokens, path), tokens, path)
    _check_regexes(tokens, path)
    lens = lens or Lens()
    members = _members(tokens)
    if "data" in named:
        lens.want(None if members is None else [(name,) for name in members])
    evaluate = _evaluator(program, named, lens, members)

    def matches(event: Event) -> bool:
        return evaluate(event) is True

    def explain(event: Event) -> Sequence[str]:
        value = evaluate(event)
        return [] if value is True else [f"{path}: {spec.strip():.{SHOWN}} is {_shown(value)}"]

    every = {"id", "time"} if _EVERY in named else set()  # of `attributes` any may decide
    return Rule(matches, explain, named - {"data", _EVERY} | every, looks="data" in named or bool(every))


def _program(text: str, path: str) -> _Program:
    try:
        compile_expression = _library()
    except ImportError:
        raise ConfigError(f"{path}: CEL is an extra, install it with: pip install 'isthmus[cel]'") from None
    program = _tried(compile_expression, text)
    if isinstance(program, BaseException):
        reason = " ".join(str(program).partition("ERROR: ")[2].split()) or str(program)
        raise ConfigError(f"{path}: does not compile: {reason:.300}")
    return program


def _named(program: _Program, bound: frozenset[str], tokens: Sequence[str], path: str) -> frozenset[str]:
    """The variables an expression needs; every one is an attribute, `data` or `attributes`.

    :raises ConfigError: it names something else.
    """
    variables = frozenset(program.variables()) - bound - _TYPES
    known = {"data", _EVERY}
    functions = {name for name in program.functions() if name.isidentifier() and name in tokens}  # not the operators
    if shadowed := bound & (CORE | known):
        raise ConfigError(f"{path}: a macro's variable is called {min(shadowed)}, expected another name")
    unknown = [name for name in variables if not (name in known or name in CORE or is_extension_name(name))]
    unknown += functions - _FUNCTIONS
    if unknown:
        raise ConfigError(f"{path}: {min(unknown)} is neither an attribute's name, data, nor a function of CEL")
    return variables


def _check_regexes(tokens: Sequence[str], path: str) -> None:
    """Compile the regular expressions of an expression, each of them a literal.

    :raises ConfigError: one is none; the library would only find out with an event.
    """
    for at, token in enumerate(tokens):
        if token == "matches" and tokens[at + 1 : at + 2] == ["("]:  # noqa: S105  of an expression
            found = _tried(_program(f"''.matches({tokens[at + 2]})", path).execute, {})
            if isinstance(found, BaseException):
                reason = " ".join(str(found).split()).rpartition("error: ")[2].partition(". Check ")[0]
                raise ConfigError(f"{path}: {tokens[at + 2]!a:.80} is no regular expression: {reason:.200}")


@cache
def _library() -> Callable[[str], _Program]:
    from cel import compile as compile_expression  # noqa: PLC0415  an extra

    return compile_expression


def _members(tokens: Sequence[str]) -> frozenset[str] | None:
    """The members of the data that an expression names; None: it may need any. To hand over less is to save most."""
    found: set[str] = set()
    for at, token in enumerate(tokens):
        if token == "data" and tokens[at - 1] != ".":  # noqa: S105  of an expression
            if tokens[at + 1 : at + 2] != ["."] or tokens[at + 3 : at + 4] == ["("]:
                return None
            found.add(tokens[at + 2])
    return frozenset(found)


def _evaluator(
    program: _Program, named: frozenset[str], lens: Lens, members: frozenset[str] | None
) -> Callable[[Event], object]:
    """The value, or the exception that stands for none."""
    names = sorted(named - {"data", _EVERY})
    looks, every, execute, look = "data" in named, _EVERY in named, program.execute, lens.look

    def evaluate(event: Event) -> object:
        context = _attributes(event, names)
        if looks and len(event.data or b"") > MAX_DATA:
            return ValueError(f"the data has more than {MAX_DATA} bytes")
        if looks and (data := look(event)) is not ABSENT:
            if members is not None and isinstance(data, dict):
                data = {name: data[name] for name in members if name in data}
            context["data"] = data
        if every:
            context[_EVERY] = _attributes(event, [*CORE, *event.extensions])
        return _tried(execute, context)

    return evaluate


def _tried(call: Callable[[_Given], _Got], given: _Given) -> _Got | BaseException:
    """What the library returns, or with what CEL failed; its panic is no Exception."""
    try:
        return call(given)
    except _FAILURES as problem:
        return problem
    except BaseException as problem:
        if type(problem).__name__ != "PanicException":
            raise
        return problem


def _attributes(event: Event, names: Iterable[str]) -> dict[str, object]:
    return {name: value for name in names if (value := _attribute(event, name)) is not None}


def _attribute(event: Event, name: str) -> object:
    if name == "specversion":
        return "1.0"
    if name in CORE:
        value: object = getattr(event, name)
        return value
    found = event.extensions.get(name)
    return found if found is None or isinstance(found, int) else canonical(found)


def _shown(value: object) -> str:
    if isinstance(value, KeyError):
        return f"an error: {value} is not there"
    if isinstance(value, BaseException):
        return f"an error: {str(value).partition('. ')[0]:.{SHOWN}}"
    return f"{value!r:.{SHOWN}}".lower() if isinstance(value, bool) else f"{value!r:.{SHOWN}}, not true"
