"""Something in each language that users write, made of choices: most of it compiles, some is a little wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.fuzz import events

if TYPE_CHECKING:
    from tests.fuzz.source import Source

DOUBLED = 10
"""Levels of a filter that hold the level below twice, as the aliases of YAML make it."""
REGEXES = ("a", "^a.*b$", "[a-z]+", "(a|b)*c", "a{2,3}", "\\\\d+", "(?i)a", "(", "é", ".{1000}", "(a+)+$")

CESQL_WORDS = (
    "=", "!=", "<>", "<", "<=", ">", ">=", "+", "-", "*", "/", "%", "AND", "OR", "XOR", "NOT", "LIKE", "IN",
    "EXISTS", "(", ")", ",", "TRUE", "FALSE", "type", "source", "subject", "ext", "n", "flag", "'a'", "'%a_b\\%'",
    '"b"', "1", "-1", "2147483647", "2147483648", "-2147483648", "0", "''", "INT", "BOOL", "STRING", "LENGTH",
    "CONCAT", "MISSING",
)  # fmt: skip
CEL_WORDS = (
    "==", "!=", "<", "&&", "||", "!", "+", "-", "*", "/", "%", "?", ":", "in", "(", ")", "[", "]", "{", "}", ".",
    ",", "type", "source", "subject", "data", "attributes", "ext", "n", "data.a", "data.items", "has", "size",
    "matches", "exists", "all", "exists_one", "map", "filter", "x", "'a'", '"b"', "r'\\d'", "b'a'", "1", "1u", "1.5",
    "0x1F", "1e999", "true", "null", "int", "double", "string", "timestamp", "duration", "contains", "startsWith",
    "endsWith", "//", "\n", "?.", "[?", "9223372036854775808", "getFullYear", "dyn", "bytes", "type(", "'''",
)  # fmt: skip
PATTERN_WORDS = (
    "prefix", "suffix", "equals-ignore-case", "wildcard", "anything-but", "numeric", "cidr", "exists", "$or", "null",
    "true", "false", "type", "source", "data", "data_base64", "items", ">=", "<", "=", "10.0.0.0/24", "::/0",
    "1e400", "*",
)  # fmt: skip
PLACES = (
    "subject", "ext", "data", "data.a", "data.a.b", "data.items[0]", "data.items[*]", "data.items[*].a",
    'data["a.b"]', "data['x']", "n", "data.b", "data.items[*][*].a", "data.c", "data.total", "data.x[*].b", "data.x",
)  # fmt: skip
ODD_PLACES = (
    "type", "id", "time", "specversion", "data.", "data[", "data.items[9999999]", "datacontenttype",
    'data["\\ud800"]', "", "Data", "data[*", "a b", "data..a", "data." + ".".join("a" * 40), "dataschema", "source",
)  # fmt: skip
RENAMES = (
    ("ext", "other"), ("data.a", "data.z"), ("data.a.b", "data.a.c"), ("data.items[*].a", "data.items[*].b"),
    ("n", "ext"),
    ("data.x", "data.a"), ('data["a.b"]', "data.ab"), ("data.total", "data.total"), ("subject", "data.a"), ("id", "x"),
)  # fmt: skip


def soup(source: Source, words: tuple[str, ...]) -> str:
    """Words of a language in any order."""
    return "".join(source.pick(words) + source.pick((" ", "", "  ")) for _ in range(source.below(32)))


def cesql(source: Source) -> str:
    """An expression."""
    if source.rarely():
        return soup(source, CESQL_WORDS)
    if source.rarely(32):
        return "NOT " * source.below(100) + "(" * source.below(100) + _cesql(source, 3)
    if source.rarely(32):
        return source.pick((" OR ", " AND ", " + ", " = ")).join([_cesql(source, 2)] * source.below(300))
    return _cesql(source, 5)


def _cesql(source: Source, depth: int) -> str:  # noqa: PLR0911  one for each form
    if depth <= 0 or source.is_empty:
        return _cesql_value(source)
    inner = depth - 1
    match source.below(9):
        case 0 | 1:
            return _cesql_value(source)
        case 2:
            operator = source.pick(("=", "!=", "<>", "<", "<=", ">", ">="))
            return f"{_cesql(source, inner)} {operator} {_cesql(source, inner)}"
        case 3:
            return f"{_cesql(source, inner)} {source.pick(('AND', 'OR', 'XOR'))} {_cesql(source, inner)}"
        case 4:
            return f"{_cesql(source, inner)} {source.pick(('+', '-', '*', '/', '%'))} {_cesql(source, inner)}"
        case 5:
            pattern = source.pick(("a%", "%b", "_", "a\\%", "%a%b%", "", "%%", "\\\\%"))
            return f"{_cesql(source, inner)} {source.pick(('', 'NOT '))}LIKE '{pattern}'"
        case 6:
            members = ", ".join(_cesql(source, inner - 1) for _ in range(1 + source.below(4)))
            return f"{_cesql(source, inner)} {source.pick(('', 'NOT '))}IN ({members})"
        case 7:
            return f"{source.pick(('NOT ', '-', '', 'EXISTS '))}({_cesql(source, inner)})"
        case _:
            name, count = source.pick(
                (("INT", 1), ("BOOL", 1), ("STRING", 1), ("IS_INT", 1), ("IS_BOOL", 1), ("ABS", 1), ("LENGTH", 1),
                 ("CONCAT", 3), ("CONCAT_WS", 3), ("LOWER", 1), ("UPPER", 1), ("TRIM", 1), ("LEFT", 2), ("RIGHT", 2),
                 ("SUBSTRING", 2), ("SUBSTRING", 3), ("MISSING", 1), ("LEFT", 1))
            )  # fmt: skip
            return f"{name}({', '.join(_cesql(source, inner) for _ in range(count))})"


def _cesql_value(source: Source) -> str:
    match source.below(6):
        case 0 | 1:
            return source.pick((*events.ATTRIBUTES, "missing"))
        case 2:
            return source.pick(("TRUE", "FALSE", "EXISTS ext", "EXISTS subject"))
        case 3:
            return str(source.pick((0, 1, -1, 5, 2**31 - 1, -(2**31), 2**31)))
        case 4:
            return f"'{source.text(4)}'"
        case _:
            return source.pick(("'a'", "'ab'", '"true"', "'1'", "''", "' '", "'é'", "'a''b'", "'\\''"))


def pattern(source: Source, depth: int = 3) -> dict[str, object]:
    """An event pattern over attributes and data."""
    spec: dict[str, object] = {}
    for _ in range(1 + source.below(3)):
        match source.below(6):
            case 0 | 1:
                spec[source.pick(events.ATTRIBUTES)] = _terms(source)
            case 2 | 3 | 4:
                spec["data"] = _fields(source, depth)
            case _:
                spec["$or"] = [pattern(source, depth - 1) for _ in range(2 if depth > 0 else source.below(2))]
    return spec


def _fields(source: Source, depth: int) -> object:
    if depth <= 0 or source.rarely(3):
        return _terms(source)
    fields: dict[str, object] = {}
    for _ in range(1 + source.below(2)):
        if source.rarely(8):
            fields["$or"] = [{source.pick(events.NAMES[:6]): _terms(source)} for _ in range(2)]
        else:
            fields[source.pick(events.NAMES)] = _fields(source, depth - 1)
    return fields


def _terms(source: Source) -> list[object]:
    return [_term(source) for _ in range(1 + source.below(3))]


def _term(source: Source) -> object:  # noqa: PLR0911  one for each form
    text = source.pick(events.STRINGS)
    match source.below(12):
        case 0 | 1 | 2:
            return events.scalar(source)
        case 3:
            return {source.pick(("prefix", "suffix")): source.pick((text, {"equals-ignore-case": text}))}
        case 4:
            return {"equals-ignore-case": text}
        case 5:
            return {"wildcard": source.pick(("*", "a*", "*b*", "a*b", "\\*", "a\\\\*", "**", "\\")) + text}
        case 6:
            inner: tuple[object, ...] = (text, [text, "b"], 1, [1, 2], {"prefix": text}, {"prefix": [text, "b"]},
                {"suffix": text}, {"equals-ignore-case": [text, "b"]}, {"wildcard": ["a*", "*b"]}, [], {})  # fmt: skip
            return {"anything-but": source.pick(inner)}
        case 7:
            low, high = sorted((events.NUMBERS[source.below(9)], events.NUMBERS[source.below(9)]))
            return {
                "numeric": source.pick(([">", low, "<=", high], ["=", low], [">=", low], ["<", high], [">"], [low]))
            }
        case 8:
            return {
                "cidr": source.pick(
                    ("10.0.0.0/24", "0.0.0.0/0", "::/0", "10.0.0.1", "::ffff:1.2.3.4/99", "10.0.0.0/33", text)
                )
            }
        case 9 | 10:
            return {"exists": source.pick((True, False, True, 1))}
        case _:
            return {source.pick(PATTERN_WORDS): events.value(source, 2)}


def dialect(source: Source, depth: int = 4) -> object:  # noqa: PLR0911  one for each form
    """A filter in the dialects."""
    if depth <= 0 or source.is_empty:
        return _comparison(source)
    inner = depth - 1
    match source.below(10):
        case 0 | 1 | 2:
            return _comparison(source)
        case 3 | 4:
            return {source.pick(("all", "any")): [dialect(source, inner) for _ in range(1 + source.below(3))]}
        case 5:
            return {"not": dialect(source, inner)}
        case 6:
            return {"sql": cesql(source)}
        case 7:
            return {"match": pattern(source, 2)}
        case 8:
            return {"cel": cel(source)}
        case _:
            return source.pick(
                ([], None, {}, "a", {"all": []}, {"exact": {"data": "a"}}, {"not": []}, {7: 1}, {"any": [{}]})
            )


def _comparison(source: Source) -> object:
    how = source.pick(("exact", "prefix", "suffix"))
    names = (*events.ATTRIBUTES, "specversion", "missing")
    return {how: {source.pick(names): source.pick(events.STRINGS) or "1.0" for _ in range(1 + source.below(2))}}


def filters(source: Source) -> object:
    """A filter, or a list of them."""
    if source.rarely(8):
        return [dialect(source) for _ in range(source.below(4))]
    if source.rarely(64):
        spec: object = {"exact": {"id": "1"}}
        for depth in range(source.below(80)):
            both = [spec, spec] if depth < DOUBLED else [spec]
            spec = source.pick(({"not": spec}, {"any": [spec]}, {"all": both}))
        return spec
    return dialect(source)


def cel(source: Source) -> str:
    """An expression."""
    if source.rarely():
        return soup(source, CEL_WORDS)
    if source.rarely(32):
        opening, closing = source.pick((("(", ")"), ("[", "]"), ("!(", ")"), ("-(", ")"), ("{1:", "}")))
        depth = source.below(90)
        return opening * depth + _cel(source, 2) + closing * depth
    if source.rarely(32):
        return source.pick((" || ", " && ", " + ", " == ", ".", " ? ", "!", "-")).join(
            [_cel(source, 1)] * source.below(200)
        )
    return _cel(source, 4)


def _cel(source: Source, depth: int, bound: tuple[str, ...] = ()) -> str:  # noqa: PLR0911  one for each form
    if depth <= 0 or source.is_empty:
        return _cel_value(source, bound)
    inner = depth - 1
    match source.below(11):
        case 0 | 1:
            return _cel_value(source, bound)
        case 2 | 3:
            operator = source.pick(("==", "!=", "<", "<=", ">", ">=", "in"))
            return f"{_cel(source, inner, bound)} {operator} {_cel(source, inner, bound)}"
        case 4:
            return f"{_cel(source, inner, bound)} {source.pick(('&&', '||'))} {_cel(source, inner, bound)}"
        case 5:
            return (
                f"({_cel(source, inner, bound)} {source.pick(('+', '-', '*', '/', '%'))} {_cel(source, inner, bound)})"
            )
        case 6:
            return f"{source.pick(('!', '-', ''))}({_cel(source, inner, bound)})"
        case 7:
            function = source.pick(
                ("size", "int", "string", "double", "uint", "bytes", "timestamp", "duration", "type", "dyn", "has")
            )
            return f"{function}({_cel(source, inner, bound)})"
        case 8:
            method = source.pick(("startsWith", "endsWith", "contains", "matches", "getFullYear", "size"))
            argument = f"'{source.pick(REGEXES)}'" if method != "size" else ""
            return f"{_cel_value(source, bound)}.{method}({argument})"
        case 9:
            name = source.pick(("i", "j", "x", "type"))
            macro = source.pick(("exists", "all", "exists_one", "map", "filter"))
            return f"{_cel_value(source, bound)}.{macro}({name}, {_cel(source, inner, (*bound, name))})"
        case _:
            return f"({_cel(source, inner, bound)} ? {_cel(source, inner, bound)} : {_cel(source, inner, bound)})"


def _cel_value(source: Source, bound: tuple[str, ...]) -> str:
    match source.below(6):
        case 0 | 1:
            return source.pick((*bound, "type", "source", "subject", "ext", "n", "flag", "missing", "attributes.ext"))
        case 2 | 3:
            return source.pick(
                (*bound, "data", "data.a", "data.items", "data['a.b']", "data.items[0]", "data.a.b", "attributes")
            )
        case 4:
            return source.pick(
                ("1", "true", "null", "1.5", "1u", "-1", "9223372036854775807", "1e308", "[1, 'a']", "{'a': 1}")
            )
        case _:
            return source.pick(
                ("'a'", "'ab'", "b'a'", "''", '"é"', "'\\u0041'", "r'\\d'", "'2026-01-31T12:00:00Z'", "'1h'")
            )


def template(source: Source) -> str:
    """A text with places in it."""
    pieces = []
    for _ in range(1 + source.below(4)):
        match source.below(6):
            case 0 | 1 | 2:
                default = source.pick(("", "", "|", "|a", "|1", '|"x"', "|{}", "|null", "|[1]"))
                pieces.append(f"{{{place(source)}{default}}}")
            case 3:
                pieces.append(
                    source.pick(("{{", "}}", "{{x}}", "}}", "$", "\\")) if not source.rarely(8) else source.pick("{}")
                )
            case 4:
                pieces.append(source.text(6))
            case _:
                pieces.append(source.pick(events.STRINGS))
    return "".join(pieces)


def mask(source: Source) -> object:
    """How something is masked."""
    hows: tuple[object, ...] = (
        "redact", {"hash": "k"}, {"truncate": 1}, {"keep_last": 2}, {"redact": "x"}, {"hash": "k@v1"}, {"truncate": 0},
        {"keep_last": 0}, {"keep_last": 1024}, {"hash": "unknown"}, {"truncate": -1}, {"redact": ""}, "hash", None, {},
        {"truncate": True}, {"redact": "\ud800"}, {"hash": "k@v9"},
    )  # fmt: skip
    return source.pick(hows if source.rarely(6) else hows[:6])


def steps(source: Source) -> object:
    """The steps of a change."""
    if source.rarely(32):
        return events.value(source)
    return [_step(source) for _ in range(1 + source.below(4))]


def place(source: Source) -> str:
    """Where something may stand."""
    return source.pick(ODD_PLACES if source.rarely(24) else PLACES)


def _step(source: Source) -> object:  # noqa: PLR0911  one for each form
    match source.below(8):
        case 0 | 1:
            return {"set": {place(source): _set_value(source) for _ in range(1 + source.below(3))}}
        case 2:
            return {"remove": [place(source) for _ in range(1 + source.below(3))]}
        case 3:
            return {"keep": [place(source) for _ in range(1 + source.below(3))]}
        case 4:
            return {"rename": dict(source.pick(RENAMES) for _ in range(1 + source.below(2)))}
        case 5:
            return {"template": source.pick((template(source), {"data": template(source)}, _set_value(source)))}
        case 6:
            return {"mask": {place(source): mask(source) for _ in range(1 + source.below(3))}}
        case 7 if source.rarely(4):
            return {source.pick(("set", "keep", "mask", "unknown", "")): events.value(source, 2)}
        case _:
            return {"mask": {"data.a": mask(source)}}


def _set_value(source: Source) -> object:
    if source.rarely(3):
        return events.value(source, 3)
    return source.pick((template(source), [template(source)], {"a": template(source)}))
