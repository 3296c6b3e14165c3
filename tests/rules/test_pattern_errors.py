"""What is no event pattern is refused: all of it at once, each problem with its place."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.errors import ConfigError
from gateway.rules.pattern import compile_pattern, document_pattern
from gateway.rules.pattern_reading import MAX_COMBINATIONS, MAX_DEPTH, MAX_FIELDS, MAX_LENGTH, MAX_OR_DEPTH, MAX_TERMS


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        (None, "match: expected a mapping of fields to lists of values, got NoneType"),
        ([], "match: expected a mapping .*, got list"),
        ({}, "match: expected at least one field, got an empty object"),
        ({"data": {}}, "match.data: expected at least one field"),
        ({"type": []}, r"match.type: expected a list of at least one value, got \[\]"),
        ({"type": "x"}, "match.type: expected an object or a list of values, got 'x'; a single value stands in a list"),
        ({"type": None}, "match.type: expected an object or a list of values, got None"),
        ({7: ["x"]}, "match: 7 is not a name"),
        (
            {"type": [["x"]]},
            r"match.type\[0\]: expected a string, a number, true, false, null or an operator, got a list",
        ),
        ({"type": [float("nan")]}, r"match.type\[0\]: nan is not a number that JSON can hold"),
        ({"type": [{}]}, r"match.type\[0\]: expected an object with one key, an operator, got 0 keys"),
        ({"type": [{"prefix": "a", "suffix": "b"}]}, r"match.type\[0\]: expected an object with one key"),
        ({"type": ["x", {"PREFIX": "a"}]}, r"match.type\[1\]: 'PREFIX' is not an operator; they are prefix, suffix"),
        ({"type": [{"prefix": 5}]}, r"match.type\[0\]: prefix: expected a string, got 5"),
        ({"type": [{"prefix": {"suffix": "x"}}]}, r"match.type\[0\]: prefix: expected a string or equals-ignore-case"),
        (
            {"type": [{"suffix": {"equals-ignore-case": 1}}]},
            r"match.type\[0\]: suffix.equals-ignore-case: expected a str",
        ),
        (
            {"type": [{"equals-ignore-case": ["x"]}]},
            r"match.type\[0\]: equals-ignore-case: expected a string, got a list",
        ),
        ({"type": [{"wildcard": "a**"}]}, r"match.type\[0\]: wildcard: consecutive wildcard characters at position 1"),
        (
            {"type": [{"wildcard": r"\\**"}]},
            r"match.type\[0\]: wildcard: consecutive wildcard characters at position 2",
        ),
        ({"type": [{"wildcard": "a\\b"}]}, r"match.type\[0\]: wildcard: invalid escape at position 1"),
        ({"type": [{"wildcard": "a\\"}]}, r"match.type\[0\]: wildcard: invalid escape at position 1"),
        ({"type": [{"exists": "true"}]}, r"match.type\[0\]: exists: expected true or false, got 'true'"),
        ({"type": [{"cidr": "10.0.0.0"}]}, r"match.type\[0\]: cidr: malformed CIDR, one '/' required"),
        ({"type": [{"cidr": "10.0.0.0/x"}]}, r"match.type\[0\]: cidr: malformed CIDR, mask bits must be an integer"),
        ({"type": [{"cidr": "10.0.0/8"}]}, r"match.type\[0\]: cidr: nonstandard IP address '10.0.0'"),
        ({"type": [{"cidr": "10.0.0.1/32"}]}, r"match.type\[0\]: cidr: IPv4 mask bits must be less than 32; for one"),
        ({"type": [{"cidr": "::1/128"}]}, r"match.type\[0\]: cidr: IPv6 mask bits must be less than 128"),
        ({"type": [{"cidr": 5}]}, r"match.type\[0\]: cidr: expected a string, got 5"),
        ({"type": [{"numeric": 5}]}, r"match.type\[0\]: numeric: expected a list of one comparison"),
        ({"type": [{"numeric": [">", 1, ">", 2]}]}, r"match.type\[0\]: numeric: expected a list of one comparison"),
        ({"type": [{"numeric": ["<", 5, ">", 1]}]}, r"match.type\[0\]: numeric: expected a list of one comparison"),
        ({"type": [{"numeric": [">", "1"]}]}, r"match.type\[0\]: expected a number to compare with, got '1'"),
        ({"type": [{"numeric": ["=", True]}]}, r"match.type\[0\]: expected a number to compare with, got True"),
        ({"type": [{"numeric": [">", 5, "<", 5]}]}, r"match.type\[0\]: numeric: expected the lower limit to be less"),
        ({"type": [{"numeric": [">", 2**60]}]}, r"match.type\[0\]: 1152921504606846976 has more digits than a double"),
        ({"type": [{"anything-but": None}]}, r"match.type\[0\]: anything-but: expected a string, a number, or a list"),
        ({"type": [{"anything-but": []}]}, r"match.type\[0\]: anything-but: expected a string, a number, or a list"),
        ({"type": [{"anything-but": ["x", 1]}]}, r"match.type\[0\]: anything-but: expected .* a list of only strings"),
        ({"type": [{"anything-but": {"prefix": ""}}]}, r"match.type\[0\]: anything-but.prefix: expected a string that"),
        (
            {"type": [{"anything-but": {"suffix": []}}]},
            r"match.type\[0\]: anything-but.suffix: expected a string or a l",
        ),
        (
            {"type": [{"anything-but": {"prefix": {"equals-ignore-case": "x"}}}]},
            r".*anything-but.prefix: expected a str",
        ),
        ({"type": [{"anything-but": {"numeric": ["=", 1]}}]}, r".*anything-but: expected prefix, suffix, equals-"),
        ({"type": [{"anything-but": {"wildcard": ["**"]}}]}, r".*anything-but.wildcard: consecutive wildcard"),
        ({"$or": [{"type": ["x"]}]}, r"match.\$or: expected a list of at least two alternatives"),
        ({"$or": {"type": ["x"]}}, r"match.\$or: expected a list of at least two alternatives"),
        ({"$or": [{"type": ["x"]}, "y"]}, r"match.\$or\[1\]: expected an object of fields, got 'y'"),
        ({"$or": [{"type": ["x"]}, {}]}, r"match.\$or\[1\]: expected at least one field"),
        ({"data": {"$or": [{"prefix": ["x"]}, {"a": ["x"]}]}}, r"match.data.\$or\[0\].prefix: the name of an operator"),
        ({"detail": {"a": ["x"]}}, r"match.detail.a: detail.* is an attribute, which has no members; data has"),
        (
            {"detail-type": ["x"]},
            r"match.detail-type: 'detail-type' is no CloudEvents attribute .*; perhaps type is meant",
        ),
        ({"dataContentType": ["x"]}, r"match.dataContentType: .*; perhaps datacontenttype is meant"),
        ({"my_field": ["x"]}, r"match.my_field: .*; the payload is under data"),
        ({"source": {"x": ["y"]}}, "match.source.x: source is an attribute, which has no members; data has"),
        ({"data_base64.x": ["y"]}, "match.data_base64.x: data_base64 is an attribute, which has no members"),
    ],
)
def test_a_wrong_pattern_names_its_place(spec: object, problem: str) -> None:
    with pytest.raises(ConfigError, match=f"^{problem}"):
        compile_pattern(spec)


def test_all_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(ConfigError) as raised:
        compile_pattern({"type": [], "data": {"a": "x", "b": [{"like": 1}, [], "ok"], "$or": []}}, "rules[3]")

    assert [text.partition(": ")[0] for text in raised.value.problems] == [
        "rules[3].type",
        "rules[3].data.a",
        "rules[3].data.b[0]",
        "rules[3].data.b[1]",
        "rules[3].data.$or",
    ]


def nested(depth: int) -> dict[str, Any]:
    spec: Any = ["x"]
    for _ in range(depth):
        spec = {"a": spec}
    return spec  # type: ignore[no-any-return]


def alternatives(depth: int) -> dict[str, Any]:
    spec: dict[str, Any] = {"a": ["x"]}
    for _ in range(depth):
        spec = {"$or": [spec, {"b": ["y"]}]}
    return spec


def test_depth_is_bounded() -> None:
    cyclic: dict[str, Any] = {}
    cyclic["a"] = cyclic

    assert document_pattern(nested(MAX_DEPTH))(nested(MAX_DEPTH))
    assert document_pattern({".".join("a" * MAX_DEPTH): ["x"]})(nested(MAX_DEPTH))
    assert document_pattern(alternatives(MAX_OR_DEPTH))({"b": "y"})
    for spec in (nested(MAX_DEPTH + 1), nested(5000), cyclic, {".".join("a" * (MAX_DEPTH + 1)): ["x"]}):
        with pytest.raises(ConfigError, match=f"more than {MAX_DEPTH} names on the way"):
            document_pattern(spec)
    with pytest.raises(ConfigError, match=rf"more than {MAX_OR_DEPTH} \$or inside each other"):
        document_pattern(alternatives(MAX_OR_DEPTH + 1))


def test_size_is_bounded() -> None:
    """Also of what YAML aliases blow up."""
    wide: Any = {"a": ["x"]}
    for _ in range(20):
        wide = {f"k{n}": wide for n in range(10)}

    assert document_pattern({f"a{n}": ["x"] for n in range(MAX_FIELDS)})({f"a{n}": "x" for n in range(MAX_FIELDS)})
    assert document_pattern({"a": [str(n) for n in range(MAX_TERMS)]})({"a": "7"})
    for spec, problem in [
        (wide, f"more than {MAX_FIELDS} fields"),
        ({f"a{n}": ["x"] for n in range(MAX_FIELDS + 1)}, f"more than {MAX_FIELDS} fields"),
        ({"a": ["x"] * (MAX_TERMS + 1)}, f"more than {MAX_TERMS} values"),
        ({"a": [{"anything-but": ["x"] * (MAX_TERMS + 1)}]}, f"more than {MAX_TERMS} values"),
        ({"a": ["x" * (MAX_LENGTH + 1)]}, f"more than {MAX_LENGTH} characters"),
        ({"a": [{"prefix": {"equals-ignore-case": "x" * (MAX_LENGTH + 1)}}]}, f"more than {MAX_LENGTH} characters"),
        ({"a" * (MAX_LENGTH + 1): ["x"]}, f"more than {MAX_LENGTH} characters"),
    ]:
        with pytest.raises(ConfigError, match=problem):
            document_pattern(spec)


def test_combinations_are_counted_not_made() -> None:
    """Ten alternatives three times are as many as AWS takes; a fourth time would be ten thousand."""
    fields = [{"a": {"$or": [{f"x{n}": [1]} for n in range(10)]}} for _ in range(4)]
    three = {str(n): field for n, field in enumerate(fields[:3])}
    four = {str(n): field for n, field in enumerate(fields)}

    assert document_pattern(three)({str(n): {"a": {"x9": 1}} for n in range(3)})
    with pytest.raises(ConfigError, match=rf"\$or makes 10000 combinations, expected at most {MAX_COMBINATIONS}"):
        document_pattern(four)


operators = ["prefix", "suffix", "wildcard", "equals-ignore-case", "anything-but", "numeric", "cidr", "exists", "$or"]
names = st.sampled_from([*operators, "a", "data", "type", "a.b", "", ">", "="])
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | names,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=15,
)


@given(anything | st.dictionaries(names, anything))
def test_nothing_but_a_config_error_is_raised(spec: object) -> None:
    with contextlib.suppress(ConfigError):
        compile_pattern(spec)
    with contextlib.suppress(ConfigError):
        document_pattern(spec)
