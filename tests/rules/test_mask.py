"""Masks: what they leave, what they refuse, and the keys that hash."""

from __future__ import annotations

import hmac
import json
import pickle
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.errors import ConfigError, Rejected
from gateway.core.event import Binary, Event, Uri
from gateway.rules.change import compile_changes
from gateway.rules.mask import MAX_KEPT, MAX_VERSIONS, REDACTION, MaskKeys, compile_keys

if TYPE_CHECKING:
    from collections.abc import Mapping

NEW, OLD = b"a secret of thirty-two bytes ...", "älterer Schlüssel"
KEYS = {"pii": MaskKeys({"2026-11": NEW, "2026-05": OLD}), "pi2": MaskKeys({"v": "x" * 100})}
EVENT = Event(id="1", source="/s", type="t", datacontenttype="application/json")


def masked(how: object, value: str, place: str = "data.v") -> str:
    """The JSON of the value after the mask."""
    changes = compile_changes([{"mask": {place: how}}], keys=KEYS)
    data = changes.apply(EVENT.but(data=f'{{"v":{value}}}'.encode())).data or b""
    return data.decode().removeprefix('{"v":').removesuffix("}")


def hashed(text: str, secret: bytes = NEW, version: str = "2026-11") -> str:
    """The hash as everybody can compute it."""
    return f"{version}:{hmac.new(secret, text.encode(), 'sha256').hexdigest()}"


@pytest.mark.parametrize(
    ("how", "value", "expected"),
    [
        ("redact", '"Ada"', f'"{REDACTION}"'),
        ("redact", "1.10", f'"{REDACTION}"'),
        ("redact", '{"a":1,"a":2}', f'"{REDACTION}"'),
        ("redact", "null", "null"),
        ({"redact": '"x{id}'}, "[]", '"\\"x{id}"'),
        ({"redact": ""}, "true", '""'),
        ({"truncate": 2}, '"Grün"', '"Gr"'),
        ({"truncate": 2}, '"\\ud83d\\ude00\\u0061b"', '"😀a"'),
        ({"truncate": 2}, '"Gr"', '""'),
        ({"truncate": 2}, '""', '""'),
        ({"truncate": 2}, "12345", '"12"'),
        ({"truncate": 2}, "null", "null"),
        ({"keep_last": 4}, '"4111111111111111"', '"************1111"'),
        ({"keep_last": 4}, "4111111111111111", '"************1111"'),
        ({"keep_last": 4}, '"1111"', '"****"'),
        ({"keep_last": 4}, '"é"', '"*"'),
        ({"keep_last": 4}, "true", '"****"'),
        ({"keep_last": 1}, "1e400", '"****0"'),
        ({"keep_last": 1}, '{"a": "xy", "b":[null, 1.10, {}]}', '{"a":"*y","b":[null,"***0",{}]}'),
        ({"keep_last": 1}, '[false, [{"b": "ab"}]]', '["****e",[{"b":"*b"}]]'),
    ],
)  # fmt: skip
def test_what_a_mask_leaves(how: object, value: str, expected: str) -> None:
    assert masked(how, value) == expected


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ('"ada@example.com"', "ada@example.com"),
        ('"\\u00e9"', "é"),
        ('"é"', "é"),
        ('""', ""),
        ("42", "42"),
        ('"42"', "42"),
        ("1.10", "1.10"),
        ("1e400", "1e400"),
        ("1152921504606846977", "1152921504606846977"),
        ("true", "true"),
    ],
)
def test_a_hash_is_hmac_sha_256_of_the_text(value: str, text: str) -> None:
    assert masked({"hash": "pii"}, value) == f'"{hashed(text)}"'
    assert masked({"hash": "pii"}, f'[{value}, {{"a":{value}}}]') == f'["{hashed(text)}",{{"a":"{hashed(text)}"}}]'


def test_a_hash_names_the_version_of_its_key() -> None:
    assert masked({"hash": "pii@2026-11"}, '"x"') == masked({"hash": "pii"}, '"x"')
    assert masked({"hash": "pii@2026-05"}, '"x"') == f'"{hashed("x", OLD.encode(), "2026-05")}"'
    assert masked({"hash": "pi2"}, '"x"') == f'"{hashed("x", b"x" * 100, "v")}"'


@given(st.binary(min_size=16, max_size=200), st.text(max_size=300))
def test_hashes_are_those_of_the_standard_library(secret: bytes, text: str) -> None:
    assert MaskKeys({"v": secret}).hasher()(text) == hashed(text, secret, "v")


def test_attributes_are_masked_by_their_canonical_strings() -> None:
    event = EVENT.but(subject="ada", extensions={"n": 42, "raw": Binary(b"Ma"), "link": Uri("urn:a:b"), "short": "x"})
    how = {"hash": "pii"}
    steps = [{"mask": {"subject": how, "n": how, "raw": how, "link": how, "short": {"truncate": 1}, "none": how}}]

    after = compile_changes(steps, keys=KEYS).apply(event)

    assert after.subject == hashed("ada")
    assert after.extensions == {"n": hashed("42"), "raw": hashed("TWE="), "link": hashed("urn:a:b"), "short": ""}


@pytest.mark.parametrize(
    ("data", "place", "problem"),
    [
        (b"card=4111", "data.v", "the data is not JSON"),
        (b'{"v":"4111"', "data.v", "the data is not JSON"),
        (b'{"v":"4111"}x', "data.v", "the data is not JSON"),
        (b'{"v":"\xff4111"}', "data.v", "the data is not JSON"),
        (b'{"v":"\\ud800 4111"}', "data.v", "the data is not JSON"),
        (b'\xef\xbb\xbf{"v":"4111"}', "data.v", "the data is not JSON"),
        ('{"v":"4111"}'.encode("utf-16"), "data.v", "the data is not JSON"),
        (b'{"v":"4111"}', "data.v.number", "data.v is a string, expected an object"),
        (b'{"v":[{"number":"4111"}]}', "data.v.number", "data.v is an array, expected an object"),
        (b'{"v":{"number":"4111"}}', "data.v[*].number", "data.v is an object, expected an array"),
        (b'["4111"]', "data.v", "data is an array, expected an object"),
        (b'"4111"', "data.v", "data is a string, expected an object"),
        (b'{"v":"4111","v":null}', "data.v", "data has two members of the same name"),
        (b'{"v":{"a":"4111"},"v":{}}', "data.v.a", "data has two members of the same name"),
        (
            b'{"v":' + b"[" * 102 + b'"4111"' + b"]" * 102 + b"}",
            "data.v",
            "has more than 100 objects and arrays inside",
        ),
        (b'{"v":{"a":"4111","\\u0061":0}}', "data.v", "has two members of the same name below it"),
    ],
)
def test_what_cannot_be_masked_is_refused(data: bytes, place: str, problem: str) -> None:
    """A secret that a producer put elsewhere, or twice, does not pass."""
    changes = compile_changes([{"mask": {place: {"keep_last": 1}}}])

    with pytest.raises(Rejected) as raised:
        changes.apply(EVENT.but(data=data))

    assert str(raised.value).startswith(f"change[0].mask.{place}: {problem}")
    assert "4111" not in str(raised.value)


def test_data_of_another_type_is_refused() -> None:
    for kind, data in (("text/plain", b"4111"), ("application/octet-stream", b'{"v":"4111"}')):
        for place in ("data", "data.v"):
            with pytest.raises(Rejected, match="the data is not JSON, but"):
                compile_changes([{"mask": {place: "redact"}}]).apply(EVENT.but(data=data, datacontenttype=kind))


def test_an_attribute_that_would_be_empty_is_refused() -> None:
    with pytest.raises(Rejected, match=r"^change\[0\].mask.subject: must not be empty"):
        compile_changes([{"mask": {"subject": {"truncate": 3}}}]).apply(EVENT.but(subject="ada"))


@pytest.mark.parametrize(
    ("mask", "problem"),
    [
        ({"data.v": "rdact"}, "change[0].mask.data.v: 'rdact' is not a mask, expected one of redact, truncate"),
        ({"data.v": {"hsh": "pii"}}, "change[0].mask.data.v: 'hsh' is not a mask"),
        ({"data.v": None}, "change[0].mask.data.v: nothing, expected redact, {redact: text}, {truncate: n}"),
        ({"data.v": {"truncate": 1, "hash": "pii"}}, "change[0].mask.data.v: a mapping of 2, expected redact"),
        ({"data.v": "truncate"}, "change[0].mask.data.v.truncate: nothing, expected a number of characters from 1"),
        ({"data.v": {"truncate": 0}}, "change[0].mask.data.v.truncate: 0, expected a number of characters from"),
        ({"data.v": {"keep_last": True}}, "change[0].mask.data.v.keep_last: True, expected a number"),
        ({"data.v": {"keep_last": MAX_KEPT + 1}}, "change[0].mask.data.v.keep_last: 1025, expected a number"),
        ({"data.v": {"redact": 5}}, "change[0].mask.data.v.redact: 5, expected a text of at most 1024 characters"),
        ({"data.v": {"redact": "a\ud800\U0001f600"}}, "change[0].mask.data.v.redact:"),
        ({"data.v": "hash"}, "change[0].mask.data.v.hash: nothing, expected the name of a key, or name@version"),
        ({"data.v": {"hash": "pji"}}, "change[0].mask.data.v.hash: 'pji' is not a key, expected one of pii, pi2; did"),
        ({"data.v": {"hash": "pii@2026-12"}}, "change[0].mask.data.v.hash: '2026-12' is not a version of pii"),
        ({"data.v": {"hash": "pii@"}}, "change[0].mask.data.v.hash: '' is not a version of pii"),
        ({"source": "redact"}, "change[0].mask.source: source cannot be masked, expected subject, an extension or"),
        ({"time": "redact"}, "change[0].mask.time: time cannot be masked"),
        ({"data.v": "redact", "data.v.a": "redact"}, "change[0].mask: data.v and data.v.a overlap"),
    ],
)  # fmt: skip
def test_a_wrong_mask_names_its_place(mask: Mapping[str, object], problem: str) -> None:
    with pytest.raises(ConfigError) as raised:
        compile_changes([{"mask": mask}], keys=KEYS)

    assert raised.value.problems[0].startswith(problem)


@pytest.mark.parametrize(
    ("how", "meant"), [("rdact", "redact"), ({"hash": "pji"}, "pii"), ({"hash": "pii@2026-12"}, "2026-11")]
)
def test_what_was_meant_is_named(how: object, meant: str) -> None:
    with pytest.raises(ConfigError, match=f"; did you mean '{meant}'\\?$"):
        compile_changes([{"mask": {"data.v": how}}], keys=KEYS)


def test_without_keys_there_is_no_hash() -> None:
    with pytest.raises(ConfigError, match="no key 'pii', expected one in the section keys, which has none"):
        compile_changes([{"mask": {"data.v": {"hash": "pii"}}}])


@pytest.mark.parametrize(
    ("section", "problem"),
    [
        (["pii"], "keys: list, expected a mapping of names"),
        ({"p i": {"v": "x" * 16}}, "keys: 'p i' is not a name for a key"),
        ({"pii@1": {"v": "x" * 16}}, "keys: 'pii@1' is not a name for a key"),
        ({"pii": "secret-secret-secret"}, "keys.pii: expected a mapping of 1 to 100 versions to secrets"),
        ({"pii": {}}, "keys.pii: expected a mapping of 1 to 100 versions"),
        ({"pii": {str(n): "x" * 16 for n in range(MAX_VERSIONS + 1)}}, "keys.pii: expected a mapping of 1 to 100"),
        ({"pii": {2026: "secret-secret-secret"}}, "keys.pii: 2026 is not a version, .*; a number needs quotes"),
        ({"pii": {"a:b": "secret-secret-secret"}}, "keys.pii: 'a:b' is not a version"),
        ({"pii": {"v": "secret"}}, "keys.pii.v: a secret of 6 bytes, expected 16 to 65536 bytes"),
        ({"pii": {"v": 12345678901234567890}}, "keys.pii.v: expected a string"),
        ({"pii": {"v": "secret-secret-secret\ud800"}}, "keys.pii.v: expected a string"),
    ],
)
def test_wrong_keys_are_told_without_their_secrets(section: object, problem: str) -> None:
    with pytest.raises(ConfigError, match=f"^{problem}") as raised:
        compile_keys(section)

    assert "secret-secret" not in str(raised.value)
    assert "1234567890" not in str(raised.value)


def test_all_wrong_keys_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as raised:
        compile_keys({"a": {"v": "short", "w": 5}, "b": [], "c": {"v": "x" * 16}})

    assert [problem.partition(":")[0] for problem in raised.value.problems] == ["keys.a.v", "keys.a.w", "keys.b"]


def test_secrets_are_not_shown() -> None:
    """Not by the keys, not by what was compiled with them, not by what fails or is explained."""
    keys = MaskKeys({"new": NEW, "old": OLD})
    changes = compile_changes([{"mask": {"data.v": {"hash": "pii"}}}, {"set": {"e": "{data.x}"}}], keys={"pii": keys})
    shown = [repr(keys), repr(changes), repr(changes.steps), repr(changes.trace(EVENT.but(data=b'{"v":"ada"}'))[1:])]

    assert shown[0] == "MaskKeys(new, old)"
    for text in shown:
        assert NEW.decode() not in text
        assert OLD not in text
    with pytest.raises(TypeError, match="keys are not copied out"):
        pickle.dumps(keys)


secrets = st.text(st.characters(codec="utf-8"), min_size=1).map(lambda text: f"S3cr3t{text}")
scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5)
)
hows = st.sampled_from(["redact", {"redact": "gone"}, {"truncate": 3}, {"keep_last": 2}, {"hash": "pii"}])


@st.composite
def hidden(draw: st.DrawFn) -> tuple[str, Any, str]:
    """A secret, data that has it once, and a place at or above it."""
    secret = draw(secrets)
    tree: Any = secret
    place = ""
    for _ in range(draw(st.integers(1, 4))):
        others = draw(st.dictionaries(st.sampled_from("abc"), scalars, max_size=2))
        if draw(st.booleans()):
            tree, place = {**others, "k": tree}, f".k{place}"
        else:
            before = draw(st.lists(scalars, max_size=2))
            tree, place = [*before, tree], f"[{len(before)}]{place}"
    cut = [at for at, char in enumerate(place) if char in ".["]
    return secret, tree, f"data{place[: draw(st.sampled_from([*cut[1:], len(place)]))]}"


@given(hidden(), hows, st.booleans())
def test_no_secret_is_left_where_a_mask_was(case: tuple[str, Any, str], how: object, ascii_only: bool) -> None:
    secret, tree, place = case
    data = json_of(tree, ascii_only=ascii_only)
    changes = compile_changes([{"mask": {place: how}}], keys=KEYS)

    after = changes.apply(EVENT.but(data=data)).data or b""

    assert b"S3cr3t" in data
    assert secret not in after.decode()
    assert b"S3cr3t" not in after


def json_of(tree: Any, *, ascii_only: bool) -> bytes:
    return json.dumps(tree, ensure_ascii=ascii_only).encode()
