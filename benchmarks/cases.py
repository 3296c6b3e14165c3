"""The cases: what is published, through which door, how fast, and to whom."""

from __future__ import annotations

from dataclasses import dataclass

OURS, DEFAULT, ALWAYS = "isthmus", "jetstream default", "jetstream sync always"


@dataclass(frozen=True)
class Case:
    """What is done; see CASES."""

    name: str
    batch: int
    peer: str = OURS
    door: str = "grpc"
    rate: float | None = None
    """Events a second offered; None: closed loop."""
    workers: int = 16
    """Batches under way at the door, in a closed loop."""
    ahead: int = 4000
    """How far the far end may be behind, in a closed loop."""
    merge: int | None = None
    """The client may gather so many events of several publishes."""
    compression: str = "s2_auto"
    """Of the peer's link; s2_auto is its default."""
    deliver: bool = False
    """With delivery into a file at B."""
    filters: str = ""
    """The region (a, b) with ten subscriptions whose filters look into the data; a thousandth of the events pass."""


def _cases() -> dict[str, Case]:
    closed = {1: (32, 4000), 10: (32, 4000), 100: (16, 4000), 500: (8, 8000)}
    cases = []
    for batch, (workers, ahead) in closed.items():
        cases += [
            Case(f"grpc-{batch}", batch, workers=workers, ahead=ahead),
            Case(f"http-{batch}", batch, workers=workers, ahead=ahead, door="http"),
            Case(f"nats-{batch}", batch, workers=workers, ahead=ahead, peer=DEFAULT),
            Case(f"nats-sync-{batch}", batch, workers=workers, ahead=ahead, peer=ALWAYS),
        ]
    cases.append(Case("nats-100-compressed", 100, peer=DEFAULT, compression="s2_better"))
    cases.append(Case("grpc-1-gathered", 1, workers=512, merge=500))
    cases.append(Case("grpc-100-gathered", 100, workers=40, ahead=8000, merge=500))
    cases.append(Case("grpc-100-delivered", 100, deliver=True))
    cases += [Case(f"grpc-100-filtered-at-{region}", 100, filters=region) for region in ("a", "b")]
    for rate, batch, label in ((100, 1, "100"), (10_000, 10, "10k"), (50_000, 100, "50k")):
        cases.append(Case(f"grpc-open-{label}", batch, rate=rate))
        cases.append(Case(f"http-open-{label}", batch, rate=rate, door="http", workers=64))
        cases.append(Case(f"nats-open-{label}", batch, peer=DEFAULT, rate=rate))
        if rate < 50_000:
            cases.append(Case(f"nats-sync-open-{label}", batch, peer=ALWAYS, rate=rate))
    return {case.name: case for case in cases}


CASES = _cases()
