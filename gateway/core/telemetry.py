"""Every metric, in one table: name, unit, meaning, labels.

Labels come from closed sets (names in the config), never ids. Declared here
before it is used anywhere; a test sees every one of them move.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

registry = CollectorRegistry()

_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


def _counter(name: str, meaning: str, *labels: str) -> Counter:
    return Counter(f"isthmus_{name}", meaning, labels, registry=registry)


def _gauge(name: str, meaning: str, *labels: str) -> Gauge:
    return Gauge(f"isthmus_{name}", meaning, labels, registry=registry)


def _histogram(name: str, meaning: str, *labels: str) -> Histogram:
    return Histogram(f"isthmus_{name}", meaning, labels, registry=registry, buckets=_SECONDS)


# ingest
accepted_events = _counter("accepted_events", "Events durable in the log, by the door or source they came in", "via")
duplicate_events = _counter("duplicate_events", "Recent duplicates dropped at ingest", "via")
conflicting_events = _counter("conflicting_events", "Recent id and source with other data: appended", "via")
refused_events = _counter("refused_events", "Events refused at a door or buried by a source", "via")
returned_events = _counter("returned_events", "Events that came back to the region they left: dropped", "via")

# log
log_commit_seconds = _histogram("log_commit_seconds", "From the start of a group commit to durable")
log_end_offset = _gauge("log_end_offset", "Offset of the last record")
log_first_offset = _gauge("log_first_offset", "Offset of the first record kept")
log_size_bytes = _gauge("log_size_bytes", "Bytes of the log's pages in use")
log_full = _gauge("log_full", "1 while appends are refused: at_most reached or disk full")
log_trimmed_events = _counter("log_trimmed_events", "Events trimmed by keep or at_most")
log_gap_events = _counter("log_gap_events", "Events a reader lost to trimming", "reader")
log_damaged_frames = _counter("log_damaged_frames", "Frames that failed their checks and were set aside")

# delivery
delivered_events = _counter("delivered_events", "Events the sink has", "subscription")
filtered_events = _counter("filtered_events", "Events a subscription's filter left out", "subscription")
retried_events = _counter("retried_events", "Repeated attempts, counted per event", "subscription")
dead_letters = _counter("dead_letters", "Events buried", "subscription")
dead_letters_kept = _gauge("dead_letters_kept", "Dead letters that wait for a decision", "subscription")
waiting_events = _gauge("waiting_events", "Events of stuck keys in the waiting log", "subscription")
lag_events = _gauge("lag_events", "Offsets between the end of the log and the cursor", "subscription")
send_seconds = _histogram("send_seconds", "Duration of one send", "sink")
sink_up = _gauge("sink_up", "1 while the destination takes events", "sink")

# links
link_events = _counter("link_events", "Events appended from another region", "origin")
link_up = _gauge("link_up", "1 while the link's stream is open", "origin")
link_lag_events = _gauge("link_lag_events", "Offsets between the origin's end and this link's position", "origin")
link_bytes = _counter("link_bytes", "Bytes of frames received", "origin")
link_refused_frames = _counter("link_refused_frames", "Pages of another region that failed their checks", "origin")
link_new_logs = _counter("link_new_logs", "Nodes of another region that came back with a new log", "origin")
served_events = _counter("served_events", "Events handed to a reading region", "region")

# doors and loops
requests = _counter("requests", "Requests at a door, by status", "door", "status")
connections = _gauge("connections", "Open connections at a door", "door")
restarts = _counter("restarts", "Loops started again after an error", "loop")
