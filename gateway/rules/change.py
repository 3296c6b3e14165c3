"""Change: the steps by which a subscription makes another event of the one it chose.

    steps ─▶ compile_changes ─▶ Changes ─▶ apply(event) ─▶ event | Rejected

The law: `apply` is pure, raises nothing but Rejected, and leaves every value
that no step names byte for byte as it came. An event that a step cannot be done
on is refused, with the step and the place: it is never passed on half changed
or unmasked. What the steps mean, for users: docs/guides/change.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.codec.payload import MALFORMED, why
from gateway.core.errors import ConfigError, Rejected
from gateway.rules.change_reading import MAX_STEPS, Reading, shown
from gateway.rules.change_verbs import read_step
from gateway.rules.draft import Draft, check_size
from gateway.rules.looking import projection_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gateway.core.event import Event
    from gateway.rules.change_verbs import Act, Step
    from gateway.rules.looking import Projection
    from gateway.rules.mask import MaskKeys


@dataclass(frozen=True, slots=True, repr=False)
class Changes:
    """Steps, ready to be done on any event."""

    path: str
    steps: tuple[Step, ...]
    _acts: tuple[tuple[str, Act], ...]
    _project: Projection

    def apply(self, event: Event) -> Event:
        """The changed event; the same object if nothing changed.

        :raises Rejected: a step cannot be done on this event: `change[2].set.subject: data.order_id is not there`.
        """
        return self._do(self._acts, Draft(event, self._project), event)

    def trace(self, event: Event) -> list[tuple[str, Event | str]]:
        """Each step with the event after it, up to the first that fails, which comes with the reason. For people."""
        draft = Draft(event, self._project)
        seen: list[tuple[str, Event | str]] = []
        for step in self.steps:
            whole = event if step is self.steps[-1] else None
            try:
                seen.append((step.path, self._do(step.acts, draft, whole)))
            except Rejected as problem:
                seen.append((step.path, str(problem)))
                break
        return seen

    def _do(self, acts: Sequence[tuple[str, Act]], draft: Draft, whole: Event | None) -> Event:
        """The event after these acts; if they are the last, `whole` is what all began with."""
        path = self.path
        try:
            for path, act in acts:  # noqa: B007  # told if it fails
                act(draft)
            path = self.path
            changed = draft.event()
            if whole is not None and changed is not whole:
                check_size(changed)
        except Rejected as problem:
            raise Rejected(f"{path}: {problem}") from None
        except MALFORMED as problem:
            raise Rejected(f"{path}: the data cannot be read: {why(problem)}") from None
        return changed


def compile_changes(steps: object, path: str = "change", *, keys: Mapping[str, MaskKeys] | None = None) -> Changes:
    """Compile steps as YAML or JSON gives them; None and an empty list change nothing.

    `keys` are those that `mask: {place: {hash: NAME}}` may name.

    :raises ConfigError: all that is wrong with them, each with its path from `path` on.
    """
    reading = Reading(keys or {})
    if steps is None:
        steps = []
    if not isinstance(steps, list):
        raise ConfigError(f"{path}: {shown(steps)}, expected a list of steps, each a mapping like set: {{...}}")
    if len(steps) > MAX_STEPS:
        raise ConfigError(f"{path}: {len(steps)} steps, expected at most {MAX_STEPS}")
    read = [read_step(step, f"{path}[{index}]", reading) for index, step in enumerate(steps)]
    if reading.problems:
        raise ConfigError(*reading.problems)
    known = tuple(step for step in read if step is not None)
    return Changes(path, known, tuple(act for step in known for act in step.acts), projection_of(reading.reads))
