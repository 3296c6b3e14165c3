"""CESQL as a filter: what passes, why something does not, and what an index may know."""

from __future__ import annotations

import pytest

from gateway.core.event import Event
from gateway.rules.cesql import compile_cesql
from gateway.rules.rule import Key

EVENT = Event(
    id="1", source="/a/b", type="a.c", extensions={"hop": 5, "ttl": "ten", "region": "eu", "urgent": True, "tf": "true"}
)


@pytest.mark.parametrize(
    ("expression", "passes"),
    [
        ("type = 'a.c' AND source LIKE '/a/%'", True),
        ("urgent", True),
        ("urgent OR missing", True),
        ("tf", False),  # a String is not cast at the root
        ("tf AND TRUE", True),
        ("hop", False),
        ("1", False),
        ("'true'", False),
        ("LENGTH(type)", False),
        ("missing", False),
        ("NOT missing", False),
        ("missing = 'x' OR type = 'a.c'", False),  # an error, though the other side is true
        ("type = 'a.c' OR missing = 'x'", True),
        ("type = 'x' OR missing = 'x' OR TRUE", False),
        ("subject != 'x'", False),
        ("NOT (subject = 'x')", False),
        ("NOT subject LIKE 'x'", False),
        ("subject NOT IN ('x')", False),
        ("NOT EXISTS subject", True),
        ("subject = dataschema", False),
        ("hop NOT LIKE '6%'", True),
        ("NOT hop", False),
    ],
)
def test_what_is_true_without_an_error_passes(expression: str, passes: bool) -> None:
    assert compile_cesql(expression).matches(EVENT) is passes


@pytest.mark.parametrize(
    ("expression", "lines"),
    [
        ("type = 'a.c'", []),
        ("type = 'a.b'", ["""type = 'a.b' is false: type is "a.c\""""]),
        (
            "type = 'a.b' AND source LIKE '/a%' AND region\n=  'us'",
            ["""type = 'a.b' is false: type is "a.c\"""", """region = 'us' is false: region is "eu\""""],
        ),
        (
            "type = 'x' OR (region = 'eu' AND hop > 9) OR FALSE",
            ["""type = 'x' is false: type is "a.c\"""", "hop > 9 is false: hop is 5", "FALSE is false"],
        ),
        ("EXISTS subject AND subject = 'x'", ["EXISTS subject is false: subject is missing"]),
        ("NOT urgent", ["NOT urgent is false: urgent is true"]),
        ("NOT (type = 'a.c' OR TRUE)", ["""NOT (type = 'a.c' OR TRUE) is false: type is "a.c\""""]),
        ("tf XOR urgent", ["""tf XOR urgent is false: tf is "true", urgent is true"""]),
        ("LENGTH(type)", ["LENGTH(type) is 3, not a Boolean"]),
        ("region", ["""region is "eu", not a Boolean"""]),
        ("specversion = '2'", ["""specversion = '2' is false: specversion is "1.0\""""]),
        (
            "id = '2' OR subject = 'x' OR TRUE",
            [
                """id = '2' is false: id is "1\"""",
                "subject = 'x' has a missing attribute (missingAttribute) in subject: subject is missing",
            ],
        ),
        ("TRUE AND hop < ttl", ["""hop < ttl has a cast error (cast): hop is 5, ttl is "ten\""""]),
        ("1 + hop / 0 = 1", ["1 + hop / 0 = 1 has a math error (math) in hop / 0: hop is 5"]),
        (
            "LEFT(id, -1) = 'a'",
            ["""LEFT(id, -1) = 'a' has a function that fails (functionEvaluation) in LEFT(id, -1): id is "1\""""],
        ),
        ("NOT 5", ["NOT 5 has a cast error (cast)"]),
    ],
)
def test_an_explanation_names_the_terms_and_what_was_there(expression: str, lines: list[str]) -> None:
    rule = compile_cesql(expression, "a.sql")

    assert list(rule.explain(EVENT)) == [f"a.sql: {line}" for line in lines]
    assert list(rule.explain(EVENT)) == [f"a.sql: {line}" for line in lines]


def test_explanations_are_short_and_printable() -> None:
    event = EVENT.but(extensions={"x": "ä\n\x1b[2J" + "y" * 1000})
    names = [f"x{number}" for number in range(20)]

    (line,) = compile_cesql(f"x = '{'z' * 500}\x1b\n'").explain(event)
    many = compile_cesql(" OR ".join(f"type = '{number}'" for number in range(50))).explain(event)
    (wide,) = compile_cesql(" XOR ".join(f"EXISTS {name}" for name in names)).explain(event)

    assert line.isprintable()
    assert len(line) < 250
    assert '"\\u00e4\\n\\u001b[2Jyyy' in line
    assert len(many) == 20
    assert many[-1] == "cesql: and 31 more"
    assert wide.endswith("x7 is missing, ...")


def keys(how: str, **values: str | list[str]) -> set[Key]:
    return {
        Key(name, how, value)  # type: ignore[arg-type]  # one of three
        for name, some in values.items()
        for value in ([some] if isinstance(some, str) else some)
    }


@pytest.mark.parametrize(
    ("expression", "anchors"),
    [
        ("type = 'a'", [keys("exact", type="a")]),
        ("'a' = type", [keys("exact", type="a")]),
        ("x = '5'", [keys("exact", x="5")]),
        ("x = 5", []),  # 5, +5, 05, ... and the Boolean true
        ("x = TRUE", []),
        ("'5' = type", [keys("exact", type="5")]),
        ("'05' = x", [keys("exact", x=["05", "5"])]),
        ("'TRUE' = x", [keys("exact", x=["TRUE", "true"])]),
        ("type IN ('a', 5)", [keys("exact", type=["a", "5"])]),
        ("x IN (0, 'a')", [keys("exact", x=["0", "false", "a"])]),
        ("x IN ('a', y)", []),
        ("type NOT IN ('a')", []),
        ("type != 'a'", []),
        ("type LIKE 'a.%'", [keys("prefix", type="a.")]),
        ("type LIKE '%.a'", [keys("suffix", type=".a")]),
        ("type LIKE 'a_b%c\\_d'", [keys("prefix", type="a"), keys("suffix", type="c_d")]),
        ("type LIKE '_a%b_'", []),
        ("type LIKE '%a%'", []),
        ("type LIKE 'a\\%'", [keys("exact", type="a%")]),
        ("LOWER(type) = 'a'", []),
        ("NOT (type = 'a')", []),
        ("type = 'a' XOR type = 'b'", []),
        ("specversion = '1.0'", []),
        ("(type = 'a') AND source LIKE '/%'", [keys("exact", type="a"), keys("prefix", source="/")]),
        ("type = 'a' OR type = 'b' OR id = '1'", [keys("exact", type=["a", "b"], id="1")]),
        ("type = 'a' OR TRUE", []),
        ("type = 'a' OR type LIKE 'b%'", [keys("exact", type="a") | keys("prefix", type="b")]),
        (  # AND and OR are of one rank: source AND (type OR (source AND type))
            "source = '/' AND type = 'a' OR source = '/x' AND type = 'b'",
            [keys("exact", source="/"), keys("exact", type=["a", "b"])],
        ),
        (
            "(source = '/' AND type = 'a') OR (source = '/x' AND type = 'b')",
            [keys("exact", source=["/", "/x"]), keys("exact", type=["a", "b"])],
        ),
        ("EXISTS x AND x = 'a'", [keys("exact", x="a")]),
    ],
)
def test_what_an_index_may_look_up(expression: str, anchors: list[set[Key]]) -> None:
    assert list(compile_cesql(expression).anchors) == anchors


def test_what_a_filter_reads() -> None:
    """Not specversion: it never changes."""
    rule = compile_cesql("TYPE = specversion AND (EXISTS a OR LENGTH(b) IN (c, 5)) AND b NOT LIKE 'd'")

    assert rule.reads == {"type", "a", "b", "c"}
    assert not rule.looks
