"""Filter policies of Amazon SNS: the same operators as `match:`, over a message's attributes or its body.

    MessageBody         the body is the data: the policy moves under `data`
    MessageAttributes   foreign_sns_attributes.py: where they land is a choice

SNS looks at nothing but JSON objects and at messages with attributes; here an
event without any of that passes a policy that only asks for absence.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Literal, TypeAlias

from gateway.app.foreign import Findings, Found, Imported, holds_without, import_all, inner, kind_of
from gateway.app.foreign_reading import find, read_object
from gateway.app.foreign_sns_attributes import Attributes
from gateway.core.errors import ConfigError
from gateway.rules.pattern import document_pattern

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from gateway.app.foreign_sns_attributes import Landing

Scope: TypeAlias = Literal["attributes", "body"]

_SCOPES: Mapping[str, Scope] = {"MessageAttributes": "attributes", "MessageBody": "body"}
_KEYS = ("FilterPolicy", "filter_policy")
_OF_A_SUBSCRIPTION = ("PendingConfirmation", "ConfirmationWasAuthenticated")
"""What AWS prints of every subscription, also of one without a filter."""
_ARN_PARTS = 6


def import_policies(
    document: object, name: str, *, scope: Scope | None, landing: Landing, arrays: Collection[str]
) -> list[Imported]:
    """The policies of a document: a bare one, a subscription's attributes as AWS prints them, a list, a template.

    `name`: what a policy is called whose topic is not in the file. `scope`:
    None is what the file says, else the attributes. `landing`: where message
    attributes are in our events. `arrays`: those of type String.Array.

    :raises ConfigError: all that cannot be carried over, each with its place in the file.
    """
    found = find(document, _KEYS, also=_OF_A_SUBSCRIPTION)
    if not found:
        found = [Found("", document)]
    return import_all(found, partial(_import_policy, name=name, scope=scope, landing=landing, arrays=arrays))


def _import_policy(
    found: Found, *, name: str, scope: Scope | None, landing: Landing, arrays: Collection[str]
) -> Imported:
    findings = Findings()
    name = _topic(found) or found.name or name
    policy = {} if found.spec is None and found.around else read_object(found, findings)
    if not policy:
        findings.note(found.place, "no filter: SNS delivers every message, and so does a subscription without match")
        return findings.imported(name, None)
    document_pattern(policy, found.place)
    if _scope(found, scope) == "body":
        pattern = _of_body(policy, found, findings)
        if arrays:
            findings.note(found.place, "--array is about attributes; arrays of a body are looked into without it")
    else:
        _check_delivery(found, findings, landing)
        pattern = Attributes(findings, landing, arrays).read(policy, found.place)
        if holds_without(policy):
            findings.warn(found.place, "an event without any of the attributes passes here; SNS wants at least one")
    return findings.imported(name, pattern)


def _scope(found: Found, wanted: Scope | None) -> Scope:
    """What the policy looks at."""
    key = "FilterPolicyScope" if "FilterPolicyScope" in found.around else "filter_policy_scope"
    said = found.around.get(key)
    if said is None:
        return wanted or "attributes"
    here = inner(found.place.rpartition(".")[0], key)
    scope = _SCOPES.get(said) if isinstance(said, str) else None
    if scope is None:
        raise ConfigError(f"{here}: expected {' or '.join(_SCOPES)}, got {kind_of(said)}")
    if wanted not in (None, scope):
        raise ConfigError(f"{here}: {said}, but --scope says {wanted}; expected the same")
    return scope


def _topic(found: Found) -> str:
    """The topic's name, where the file has an ARN of it."""
    for key in ("SubscriptionArn", "TopicArn", "topic_arn"):
        arn = found.around.get(key)
        parts = arn.split(":", _ARN_PARTS) if isinstance(arn, str) else []
        if len(parts) >= _ARN_PARTS and parts[0] == "arn":
            return parts[_ARN_PARTS - 1]
    return ""


def _is_raw(found: Found) -> bool | None:
    """Whether the subscription has raw message delivery; None: the file does not say."""
    if not found.around:
        return None
    return str(found.around.get("RawMessageDelivery", found.around.get("raw_message_delivery"))).lower() == "true"


def _check_delivery(found: Found, findings: Findings, landing: Landing) -> None:
    raw = _is_raw(found)
    if raw is False and landing == "sqs":
        how = "switch raw delivery on, or say --attributes envelope"
        findings.warn(found.place, f"without raw message delivery the attributes are inside SNS's envelope: {how}")
    if raw and landing == "envelope":
        findings.warn(found.place, "with raw message delivery there is no envelope: say --attributes sqs")


def _of_body(policy: dict[str, object], found: Found, findings: Findings) -> dict[str, object]:
    if _is_raw(found) is False:
        what = "without raw message delivery the body is text inside SNS's envelope"
        findings.warn(found.place, f"{what}: switch raw delivery on, else nothing matches")
    if holds_without(policy):
        findings.warn(found.place, "an event whose data is no JSON object passes here; SNS passes only objects")
    if _asks_for_presence(policy):
        findings.note(found.place, "exists: true also holds for null and empty text here; SNS's documentation says not")
    return {"data": policy}


def _asks_for_presence(spec: Mapping[str, object]) -> bool:
    for content in spec.values():
        if isinstance(content, dict):
            if _asks_for_presence(content):
                return True
        elif isinstance(content, list):
            parts = [item for item in content if isinstance(item, dict)]
            if {"exists": True} in parts or any(_asks_for_presence(part) for part in parts):
                return True
    return False
