"""View: how the node is, for the admin API and the probes."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from gateway.api.probes import Check

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.app.node import Node
    from gateway.flow.dead_letters import DeadLetters


class View:
    """What the admin API shows of a node."""

    def __init__(self, node: Node) -> None:
        self._node = node

    @property
    def dead_letters(self) -> DeadLetters:
        """The node's dead letters."""
        return self._node.dead_letters

    def status(self) -> dict[str, object]:
        """How everything is: plain values only."""
        node = self._node
        return {
            "region": node.config.region,
            "log": {
                "id": node.log.log_id,
                "first": node.log.first,
                "end": node.log.end,
                "size": node.log.size,
                "at_most": node.config.log.at_most,
                "full": node.log.is_full,
            },
            "addresses": node.addresses(),
            "subscriptions": {name: asdict(delivery.status) for name, delivery in node.deliveries.items()},
            "sinks": {
                name: {"state": destination.state, "reason": destination.reason or None}
                for name, destination in node.destinations.items()
            },
            "links": [link.describe() for link in node.links.status()] if node.links else [],
            "readers": self._readers(),
            "dead_letters": node.dead_letters.counts(),
            "loops": [health.describe() for health in node.healths],
        }

    def _readers(self) -> dict[str, object]:
        node = self._node
        if node.server is None:
            return {}
        return {
            region: {"durable": row.durable, "lag_events": max(0, node.log.end - row.durable)}
            for region, row in node.server.readers(node.log.log_id).items()
        }

    def checks(self) -> Sequence[Check]:
        """The log and the start are critical; a sink, a link or a source that is away is only named."""
        node = self._node
        checks = [
            Check("started", None if node.started.is_set() else "not every door is open yet"),
            Check("log", node.log.health()),
        ]
        checks += [
            Check(f"sink {name}", None if destination.state == "up" else destination.reason, is_critical=False)
            for name, destination in node.destinations.items()
        ]
        if node.links is not None:
            checks += [
                Check(
                    f"link {link.region} {link.address}",
                    None if link.state == "following" else link.problem or link.state,
                    is_critical=False,
                )
                for link in node.links.status()
            ]
        checks += [Check(health.name, health.problem, is_critical=False) for health in node.healths]
        return checks

    async def resume(self, subscription: str) -> None:
        """Deliver again to a subscription that was disabled or blocked.

        :raises LookupError: there is none of that name.
        """
        delivery = self._node.deliveries.get(subscription)
        if delivery is None:
            raise LookupError(f"no subscription {subscription!r}")
        await delivery.resume()
