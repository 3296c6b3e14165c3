"""A region asks for the union of what its subscriptions want, and learns from where on it holds."""

from __future__ import annotations

import asyncio

import pytest

from federation.interest import EVERYTHING, Interests, Wanted, compile_interest
from tests.federation.arrange import event

ONE = {"exact": {"type": "one"}}
TWO = {"prefix": {"type": "tw"}}


def test_the_union_matches_what_any_subscription_wants() -> None:
    interests = Interests()
    interests.want("us", [Wanted(ONE, 5.0), Wanted(TWO, 3.0)])

    interest = interests.of("us")
    assert interest is not None
    matches = compile_interest(interest.expression).matches
    assert matches is not None
    assert [matches(event(1, kind)) for kind in ("one", "two", "three")] == [True, True, False]
    assert interest.since == 3.0


@pytest.mark.parametrize("everything", [None, []])
def test_one_subscription_without_a_filter_wants_everything(everything: object) -> None:
    interests = Interests()
    interests.want("us", [Wanted(ONE, 5.0), Wanted(everything, None)])

    interest = interests.of("us")
    assert interest is not None
    assert (interest.expression, interest.since) == (EVERYTHING, None)
    assert compile_interest(interest.expression).matches is None


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

    assert compiled.matches is None or compiled.matches(event(1))
    assert compiled.problem or compiled.matches is not None


def test_a_union_of_many_filters_still_compiles() -> None:
    interests = Interests()
    interests.want("us", [Wanted({"exact": {"type": f"t{number}", "source": "/s"}}, 1.0) for number in range(3000)])

    interest = interests.of("us")
    assert interest is not None
    assert compile_interest(interest.expression).problem == ""


def test_an_expression_too_long_to_send_asks_for_everything() -> None:
    interests = Interests()
    interests.want("us", [Wanted({"exact": {"type": "t" * 1000 + str(number)}}, 1.0) for number in range(1000)])

    interest = interests.of("us")
    assert interest is not None
    assert interest.expression == EVERYTHING
