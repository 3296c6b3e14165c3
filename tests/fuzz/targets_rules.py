"""Targets: the languages in which users choose and change events."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import msgspec

from federation.interest import Interests, Wanted, compile_interest
from gateway.codec.json import encode
from gateway.codec.validate import validate
from gateway.core.errors import ConfigError, InvalidEvent, Rejected
from gateway.core.event import Event
from gateway.rules import cel, lens, pattern
from gateway.rules.cesql import compile_cesql, evaluator
from gateway.rules.change import compile_changes
from gateway.rules.dialects import compile_filter, union
from gateway.rules.mask import compile_keys
from tests.fuzz import events, languages, seeds
from tests.fuzz.source import Source, text_of
from tests.fuzz.target import Target, asked, demand, refused

if TYPE_CHECKING:
    from gateway.rules.change import Changes

EVENT = Event("1", "/a/b", "ab", "a", datacontenttype="application/json", extensions={"ext": "a", "n": 1, "flag": True})
KEYS = compile_keys({"k": {"v2": "0123456789abcdef-2", "v1": "0123456789abcdef-1"}})
SHORTEST = 8
"""Characters of a secret that is in no message by chance."""
DEEPEST = 64
"""Names in a path of a pattern; no language has longer ones."""


def check_pattern(data: bytes) -> bool:
    """A pattern over events, and the same over the document that the event is."""
    source = Source(data)
    if source.is_text:
        text, document = source.parts(2)
        event, is_plain = events.written_event(document, EVENT), False
    else:
        text = json.dumps(languages.pattern(source)).encode()
        is_plain = not source.rarely(4)
        event = events.event(source, events.well_formed(source), typed=True) if is_plain else events.event(source)
    try:
        spec = pattern.parse_pattern(text)
        rule = pattern.compile_pattern(spec)
    except ConfigError as problem:
        return refused(problem)
    answer = asked(rule, event)
    if is_plain:
        of_document = pattern.document_pattern(spec)(pattern.parse_document(encode(event)))
        demand(answer is of_document, "an event is its document", text, event, answer)
    return True


def check_document(data: bytes) -> bool:
    """A pattern over any document."""
    source = Source(data)
    if source.is_text:
        text, document = source.parts(2)
    else:
        text = json.dumps(languages.pattern(source)).encode()
        document = events.json_text(source)
    try:
        matches = pattern.document_pattern(pattern.parse_pattern(text))
    except ConfigError as problem:
        return refused(problem)
    try:
        value = pattern.parse_document(document)
    except InvalidEvent:
        return False
    answer = matches(value)
    demand(answer is matches(value) and isinstance(answer, bool), "asked twice, answered the same", text, document)
    return True


def check_cesql(data: bytes) -> bool:
    """An expression as a filter, and as a value with an error."""
    source = Source(data)
    if source.is_text:
        text, document = source.parts(2)
        expression, event = text_of(text), events.written_event(document, EVENT)
    else:
        expression, event = languages.cesql(source), events.event(source)
    try:
        evaluate = evaluator(expression)
    except ConfigError as problem:
        refused(problem)
        evaluate = None
    try:
        rule = compile_cesql(expression)
    except ConfigError as problem:
        return refused(problem)
    if evaluate is None:
        demand(False, "what is no expression is no filter", expression)
        return False
    value, error = evaluate(event)
    demand(asked(rule, event) is (value is True and error is None), "passes what is true", expression, value, error)
    demand(evaluate(event) == (value, error), "asked twice, answered the same", expression)
    return True


def check_filter(data: bytes) -> bool:
    """Filters of arbitrary JSON, and what another region makes of their union."""
    source = Source(data)
    if source.is_text:
        texts, event = source.parts(2), EVENT
        try:
            specs: list[object] = [pattern.parse_pattern(text) for text in texts if text]
        except ConfigError as problem:
            return refused(problem)
    else:
        specs, event = [languages.filters(source), languages.filters(source)], events.event(source)
    try:
        rules = [compile_filter(spec) for spec in specs]
    except ConfigError as problem:
        return refused(problem)
    answer = any([asked(rule, event) for rule in rules])  # noqa: C419  all are asked
    if not _is_text(specs):
        return True  # lone surrogates, which no interest can carry
    interests = Interests()
    interests.want("other", [Wanted(spec, None) for spec in specs])
    interest = interests.of("other")
    if interest is not None:
        compiled = compile_interest(interest.expression)
        demand(not compiled.problem, "what compiles here compiles there", compiled.problem)
        if compiled.choose is not None:
            found = compiled.choose([event, EVENT, event])
            demand((0 in found, 2 in found) == (answer, answer), "a union passes what any passes", specs, event)
    demand(union([*specs, *specs]) == union(specs), "each stands in a union once", specs)
    return True


def _is_text(content: object) -> bool:
    """Whether UTF-8 can hold it."""
    try:
        msgspec.json.encode(content)
    except (UnicodeEncodeError, TypeError):
        return False
    return True


def check_interest(data: bytes) -> bool:
    """What a peer says it wants."""
    source = Source(data)
    if source.is_text:
        expression, event = source.rest().decode(errors="replace"), EVENT  # a message is UTF-8
    else:
        expression, event = json.dumps(languages.filters(source)), events.event(source)
    compiled = compile_interest(expression)
    if compiled.choose is None:
        return False
    found = compiled.choose([event])
    demand(found == compiled.choose([event]) and found in ([], [0]), "asked twice, answered the same", expression)
    return True


def check_cel(data: bytes) -> bool:
    """A CEL expression."""
    source = Source(data)
    if source.is_text:
        text, document = source.parts(2)
        expression, event = text_of(text), events.written_event(document, EVENT)
    else:
        expression, event = languages.cel(source), events.event(source)
    try:
        rule = cel.compile_cel(expression)
    except ConfigError as problem:
        return refused(problem)
    asked(rule, event)
    return True


def check_change(data: bytes) -> bool:
    """Steps of arbitrary JSON, done on an event with arbitrary data."""
    source = Source(data)
    if source.is_text:
        text, document = source.parts(2)
        event = events.written_event(document, EVENT)
        try:
            steps = pattern.parse_pattern(text)
        except ConfigError as problem:
            return refused(problem)
    else:
        steps, event = languages.steps(source), events.event(source)
    return _change(steps, event)


def check_template(data: bytes) -> bool:
    """One template: alone for an attribute, in a value for the data, and as all of the data."""
    source = Source(data)
    if source.is_text:
        first, document = source.parts(2)
        text, event = text_of(first), events.written_event(document, EVENT)
    else:
        text, event = languages.template(source), events.event(source)
        _check_reading(source, event)
    ways: tuple[object, ...] = ([{"set": {"subject": text}}], [{"set": {"data.t": [text]}}], [{"template": text}])
    return any([_change(steps, event) for steps in ways])  # noqa: C419  all are tried


def _check_reading(source: Source, event: Event) -> None:
    """A template that is one place puts in what stands there, as a filter sees it."""
    path = tuple(source.pick(events.NAMES) for _ in range(1 + source.below(2)))
    there = events.at(lens.of_event(event), path) if event.datacontenttype in ("application/json", None) else None
    if not isinstance(there, str | int | float | bool) or not _is_text([there, path]) or there != there:  # noqa: PLR0124  NaN
        return
    place = "data" + "".join(f"[{json.dumps(name)}]" for name in path)
    step = [{"template": f"{{{place}}}"}]
    try:
        changed = compile_changes(step).apply(event)
    except ConfigError:
        return  # a name that no place may have
    except Rejected as problem:  # also for lone surrogates, which no change takes
        is_member = isinstance(events.at(lens.of_event(event), path[:-1]), dict)
        demand(not is_member or "is not there" not in str(problem), "what stands there is found", place, event.data)
        return
    demand(
        lens.parse(changed.data or b"") == there, "what is put in is what stands there", place, event.data, changed.data
    )


def _change(steps: object, event: Event) -> bool:
    try:
        changes = compile_changes(steps, keys=KEYS)
    except ConfigError as problem:
        return refused(problem)
    try:
        changed = changes.apply(event)
    except Rejected as problem:
        demand(str(problem).startswith("change"), "a refusal names its step", problem)
        str(problem).encode()
        _check_trace(changes, event, None)
        return True
    _check_trace(changes, event, changed)
    demand(changes.apply(event) == changed, "the same event is changed in the same way", steps, event)
    if _is_valid(event):
        validate(changed)
    return True


def _check_trace(changes: Changes, event: Event, changed: Event | None) -> None:
    seen = changes.trace(event)
    if seen:
        last = seen[-1][1]
        demand((None if isinstance(last, str) else last) == changed, "what is shown is what is sent", last, changed)


def _is_valid(event: Event) -> bool:
    try:
        validate(event)
    except InvalidEvent:
        return False
    return True


def check_mask(data: bytes) -> bool:
    """A mask of a text leaves it nowhere, and leaves alone what stands beside it."""
    source = Source(data)
    how = languages.mask(source)
    text = source.text(40) + source.pick(("", "a", "é", "\U0001f600", "1234"))
    text = text.encode("utf-8", "replace").decode()
    secret = source.text(40)
    try:
        compile_keys({"k": {"v": secret}})
    except ConfigError as problem:
        demand(len(secret) < SHORTEST or secret not in str(problem), "a secret is not told", problem)
        refused(problem)
    try:
        changes = compile_changes([{"mask": {"data.x": how, "subject": how}}], keys=KEYS)
    except ConfigError as problem:
        return refused(problem)
    beside = events.json_text(source)
    inside = json.dumps(text).encode()
    event = EVENT.but(subject=text or None, data=b'{"x":%b,"y":%b,"z":[%b]}' % (inside, beside, inside))
    try:
        changed = changes.apply(event)
    except Rejected:
        return True
    demand(changed.extensions == event.extensions, "nothing else is changed", changed)
    left = msgspec.json.decode(changed.data or b"", type=dict[str, msgspec.Raw])
    found = json.loads(bytes(left["x"]))
    if text and "*" not in text and how != {"redact": text}:
        demand(found != text, "a mask leaves no value whole", how, text)
        demand(changed.subject != text, "a mask leaves no attribute whole", how, text)
    demand(bytes(left["y"]) == beside.strip(b" \t\r\n"), "what is beside stays byte for byte", beside, bytes(left["y"]))
    return True


TARGETS = (
    Target(
        "pattern",
        "compiled, explained and asked as a document, a pattern says the same",
        check_pattern,
        languages.PATTERN_WORDS,
        seeds.patterns,
    ),
    Target(
        "document", "a pattern over any JSON document answers", check_document, languages.PATTERN_WORDS, seeds.patterns
    ),
    Target("cesql", "passes exactly what is true without an error", check_cesql, languages.CESQL_WORDS, seeds.cesql),
    Target(
        "filter",
        "a union, here and at a peer, passes what any of its filters passes",
        check_filter,
        languages.PATTERN_WORDS,
        seeds.filters,
    ),
    Target(
        "interest",
        "what a peer wants is answered, or counts as everything",
        check_interest,
        languages.CESQL_WORDS,
        seeds.filters,
    ),
    Target("cel", "compiles or is refused, and answers in time", check_cel, languages.CEL_WORDS, seeds.cel),
    Target(
        "change",
        "a valid event stays valid or is refused, and is shown as it is sent",
        check_change,
        languages.PLACES,
        seeds.changes,
    ),
    Target("template", "the same, of one template", check_template, languages.PLACES, seeds.templates),
    Target("mask", "a mask leaves no value whole and nothing else changed", check_mask),
)
