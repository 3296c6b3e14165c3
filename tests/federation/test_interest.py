"""A region asks for the union of what its subscriptions want, and learns from where on it holds."""

from __future__ import annotations

import asyncio
import tracemalloc

import msgspec
import pytest

from federation.interest import EVERYTHING, LARGEST, MOST, Interests, Wanted, compile_interest, compile_interest_aside
from tests.federation.arrange import event

ONE = {"exact": {"type": "one"}}
TWO = {"prefix": {"type": "tw"}}


def test_the_union_matches_what_any_subscription_wants() -> None:
    interests = Interests()
    interests.want("us", [Wanted(ONE, 5.0), Wanted(TWO, 3.0)])

    interest = interests.of("us")
    assert interest is not None
    choose = compile_interest(interest.expression).choose
    assert choose is not None
    assert choose([event(1, kind) for kind in ("one", "three", "two", "one")]) == [0, 2, 3]
    assert interest.since == 3.0


@pytest.mark.parametrize("everything", [None, []])
def test_one_subscription_without_a_filter_wants_everything(everything: object) -> None:
    interests = Interests()
    interests.want("us", [Wanted(ONE, 5.0), Wanted(everything, None)])

    interest = interests.of("us")
    assert interest is not None
    assert (interest.expression, interest.since) == (EVERYTHING, None)
    assert compile_interest(interest.expression).choose is None


def test_the_version_grows_only_when_something_changes() -> None:
    interests = Interests()
    first = interests.want("us", [Wanted(ONE, 5.0)])

    assert interests.want("us", [Wanted(ONE, 5.0)]) == first
    assert interests.want("us", [Wanted(TWO, 5.0)]) > first


async def test_a_change_wakes_whoever_waits() -> None:
    interests = Interests()
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(interests.changed())
        await asyncio.sleep(0)
        assert not waiting.done()
        interests.want("us", [Wanted(None, None)])

    interests.want("us", [])
    assert interests.regions == frozenset()


@pytest.mark.parametrize(
    "expression", ["{", "[1]", '{"no": "dialect"}', '{"exact": 5}', "null", "5", '{"not":' * 5000 + "1" + "}" * 5000]
)
def test_what_does_not_compile_counts_as_true_and_says_why(expression: str) -> None:
    compiled = compile_interest(expression)

    assert compiled.choose is None or compiled.choose([event(1)])
    assert compiled.problem or compiled.choose is not None


async def test_a_union_of_many_filters_still_compiles() -> None:
    """And is an index at the log that is read, over attributes and data."""
    interests = Interests()
    specs: list[object] = [{"exact": {"type": f"t{number}", "source": "/tests"}} for number in range(1500)]
    specs += [{"match": {"type": ["two"], "data": {"n": [number]}}} for number in range(1500)]
    specs += [{"sql": f"type = 'sql{number}'"} for number in range(1500)]
    interests.want("us", [Wanted(spec, 1.0) for spec in specs])

    interest = interests.of("us")
    assert interest is not None
    compiled = await compile_interest_aside(interest.expression)

    assert compiled.problem == ""
    assert compiled.choose is not None
    kinds = [("t7", None), ("t1500", None), ("two", b'{"n": 99}'), ("two", b'{"n": 1500}'), ("sql3", None)]
    events = [event(1, kind).but(source="/tests", data=data) for kind, data in kinds]
    assert compiled.choose(events) == [0, 2, 4]


def test_many_filters_that_all_pass_cost_no_more_than_one() -> None:
    """A peer may want everything in thousands of ways: which of them pass is of no interest."""
    parts = [{"not": {"exact": {"subject": f"s{number}"}}} for number in range(2000)]
    choose = compile_interest(msgspec.json.encode({"any": parts}).decode()).choose
    events = [event(number) for number in range(500)]
    assert choose is not None
    assert choose(events[:1]) == [0]

    tracemalloc.start()
    try:
        chosen = choose(events)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert chosen == list(range(500))
    assert peak < 500_000


def test_too_many_filters_ask_for_everything_and_say_so() -> None:
    compiled = compile_interest('{"any": [' + ", ".join(['{"exact": {"type": "a"}}'] * (MOST + 1)) + "]}")

    assert compiled.choose is None
    assert f"{MOST + 1} filters, expected at most {MOST}" in compiled.problem


def test_an_expression_longer_than_any_of_ours_asks_for_everything_and_says_so() -> None:
    compiled = compile_interest('{"exact": {"type": "' + "t" * LARGEST + '"}}')

    assert compiled.choose is None
    assert f"characters, expected at most {LARGEST}" in compiled.problem


def test_an_expression_too_long_to_send_asks_for_everything() -> None:
    interests = Interests()
    interests.want("us", [Wanted({"exact": {"type": "t" * 1000 + str(number)}}, 1.0) for number in range(1000)])

    interest = interests.of("us")
    assert interest is not None
    assert interest.expression == EVERYTHING
