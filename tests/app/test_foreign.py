"""What all imports share: files of any shape, names, and YAML that a config reads back."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.app import yaml
from gateway.app.fields import label
from gateway.app.foreign import Findings, Found, Imported, import_all, label_of, number_text, with_name
from gateway.app.foreign_eventbridge import import_rules
from gateway.app.foreign_eventmesh import import_filters
from gateway.app.foreign_fragment import fragment
from gateway.app.foreign_reading import MAX_BYTES, MAX_DEPTH, MAX_FILTERS, find, parse, read_object
from gateway.app.foreign_sns import import_policies
from gateway.app.references import References
from gateway.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from gateway.app.foreign_sns_attributes import Landing

TEXTS = (
    st.text(st.characters(exclude_categories=["Cs"]))
    | st.sampled_from(
        [
            "${HOME}",
            "$$",
            "a$b",
            "<<",
            "null",
            "~",
            "NO",
            "12:30",
            "1e5",
            "- a",
            "a: b",
            "#",
            "x" * 1500,
            " ",
            "a\nb",
            "\0",
        ]
    )
    | st.sampled_from(["\x85", "\u2028", "\ufeff", "\ufffe", "", "😀"])
)
SCALARS = (
    TEXTS
    | st.integers(-(10**18) + 1, 10**18 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.booleans()
    | st.none()
)
VALUES = SCALARS | st.dictionaries(TEXTS, SCALARS | st.lists(SCALARS, max_size=3), min_size=1, max_size=1)
PATTERNS = st.recursive(
    st.dictionaries(TEXTS, st.lists(VALUES, min_size=1, max_size=3), max_size=3),
    lambda inner: (
        st.dictionaries(TEXTS, inner, max_size=3) | st.fixed_dictionaries({"$or": st.lists(inner, max_size=3)})
    ),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fragment") / "node.yaml"


@given(pattern=PATTERNS)
def test_a_config_reads_back_what_was_written(file: Path, pattern: dict[str, object]) -> None:
    """Every value with its type, whatever is in it; no text becomes a reference."""
    file.write_text(fragment([Imported("a", pattern), Imported("null", None)], "s"), encoding="utf-8")

    document = yaml.read(file)
    References({}, file.parent).resolve(document)

    assert document.problems == []
    assert repr(document.value) == repr({"subscriptions": {"a": {"match": pattern, "to": "s"}, "null": {"to": "s"}}})


@given(st.text())
def test_every_name_becomes_a_label(name: str) -> None:
    assert label(label_of(name)) == label_of(label_of(name)) == label_of(name)


def test_a_name_that_changes_is_told() -> None:
    """Unless the user gives one."""
    changed = Findings().imported("Stopped_Instances", None)

    assert with_name(changed).notes[0].startswith("'Stopped_Instances' is called stopped-instances here")
    assert with_name(changed, "mine") == Imported("mine", None, called="Stopped_Instances")
    assert with_name(Findings().imported("stopped", None)).notes == ()
    assert label_of("a" * 62 + "--b") == "a" * 62


def test_names_that_stand_twice_get_a_number() -> None:
    founds = [Found("", {}, "A b"), Found("", {}, "a-b"), Found("", {}, "a-b"), Found("", {}, "a" * 63)] * 2

    made = import_all(founds, lambda found: Findings().imported(found.name, None))

    names = [one.name for one in made]
    assert names[:3] == ["a-b", "a-b-2", "a-b-3"]
    assert len(set(names)) == len(founds)
    assert all(label(name) for name in names)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"{", "not a JSON text: .* line 1 column 2"),
        (b"", "not a JSON text"),
        (b"\xff{}", "not a JSON text"),
        (b"[NaN]", "not a JSON text"),
        (b"[" * 100_000, "nested too deep"),
        (b" " * (MAX_BYTES + 1), "larger than"),
    ],
)
def test_what_is_not_json_is_refused(data: bytes, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        parse(data)


def test_a_byte_order_mark_is_no_part_of_the_text() -> None:
    assert parse(b"\xef\xbb\xbf{}") == {}


def nested(levels: int) -> object:
    value: object = ["x"]
    for _ in range(levels):
        value = {"a": value}
    return value


def test_depth_and_number_are_bounded() -> None:
    with pytest.raises(ConfigError, match=f"more than {MAX_DEPTH} objects"):
        find(nested(500), ("FilterPolicy",))
    with pytest.raises(ConfigError, match=f"more than {MAX_DEPTH} objects"):
        read_object(Found("", nested(500)), Findings())
    assert find(nested(MAX_DEPTH - 1), ("FilterPolicy",)) == []
    with pytest.raises(ConfigError, match=f"more than {MAX_FILTERS} filters"):
        find([{"condition": "{}"}] * (MAX_FILTERS + 1), ("condition",))


def test_numbers_are_written_as_text_without_a_fraction_they_do_not_have() -> None:
    assert [number_text(number) for number in (100, 100.0, 1.5, -0.25, 1e300)] == [
        "100",
        "100",
        "1.5",
        "-0.25",
        "1e+300",
    ]


WORDS = st.sampled_from(
    ["$or", "source", "type", "detail", "data", "a", "FilterPolicy", "EventPattern", "condition", "Name", "Targets"]
) | st.sampled_from(["prefix", "suffix", "numeric", "exists", "anything-but", "cidr", "wildcard", "version", "topic"])
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS | st.text(max_size=3) | st.just("{}"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS | st.text(max_size=2), inner, max_size=3),
    max_leaves=12,
)


@given(document=DOCUMENTS)
def test_no_document_breaks_an_import(document: object) -> None:
    """It becomes subscriptions that can be written, or is refused."""
    converts: list[Callable[[], list[Imported]]] = [
        lambda: import_filters(document, "a"),
        lambda: import_rules(document, "a", extensions={}, whole=False),
        lambda: import_rules(document, "a", extensions={}, whole=True),
        lambda: import_policies(document, "a", scope="body", landing="sqs", arrays=()),
    ]
    landings: list[Landing] = ["sqs", "envelope", "extensions", "data"]
    converts += [partial(import_policies, document, "a", scope=None, landing=one, arrays=["a"]) for one in landings]
    for convert in converts:
        with suppress(ConfigError):
            assert fragment(convert(), "s")
