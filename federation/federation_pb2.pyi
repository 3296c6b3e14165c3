from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class HelloRequest(_message.Message):
    __slots__ = ("mesh", "region", "node", "software", "frame_format", "codecs")
    MESH_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    SOFTWARE_FIELD_NUMBER: _ClassVar[int]
    FRAME_FORMAT_FIELD_NUMBER: _ClassVar[int]
    CODECS_FIELD_NUMBER: _ClassVar[int]
    mesh: str
    region: str
    node: str
    software: str
    frame_format: int
    codecs: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, mesh: _Optional[str] = ..., region: _Optional[str] = ..., node: _Optional[str] = ..., software: _Optional[str] = ..., frame_format: _Optional[int] = ..., codecs: _Optional[_Iterable[int]] = ...) -> None: ...

class HelloReply(_message.Message):
    __slots__ = ("mesh", "region", "node", "software", "frame_format", "codecs", "policy_hash", "logs")
    MESH_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    SOFTWARE_FIELD_NUMBER: _ClassVar[int]
    FRAME_FORMAT_FIELD_NUMBER: _ClassVar[int]
    CODECS_FIELD_NUMBER: _ClassVar[int]
    POLICY_HASH_FIELD_NUMBER: _ClassVar[int]
    LOGS_FIELD_NUMBER: _ClassVar[int]
    mesh: str
    region: str
    node: str
    software: str
    frame_format: int
    codecs: _containers.RepeatedScalarFieldContainer[int]
    policy_hash: bytes
    logs: _containers.RepeatedCompositeFieldContainer[LogState]
    def __init__(self, mesh: _Optional[str] = ..., region: _Optional[str] = ..., node: _Optional[str] = ..., software: _Optional[str] = ..., frame_format: _Optional[int] = ..., codecs: _Optional[_Iterable[int]] = ..., policy_hash: _Optional[bytes] = ..., logs: _Optional[_Iterable[_Union[LogState, _Mapping]]] = ...) -> None: ...

class LogState(_message.Message):
    __slots__ = ("log_id", "first", "end", "end_accepted")
    LOG_ID_FIELD_NUMBER: _ClassVar[int]
    FIRST_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    END_ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    log_id: str
    first: int
    end: int
    end_accepted: float
    def __init__(self, log_id: _Optional[str] = ..., first: _Optional[int] = ..., end: _Optional[int] = ..., end_accepted: _Optional[float] = ...) -> None: ...

class Place(_message.Message):
    __slots__ = ("offset", "hash")
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    offset: int
    hash: bytes
    def __init__(self, offset: _Optional[int] = ..., hash: _Optional[bytes] = ...) -> None: ...

class FromReader(_message.Message):
    __slots__ = ("start", "ack", "interest", "window")
    START_FIELD_NUMBER: _ClassVar[int]
    ACK_FIELD_NUMBER: _ClassVar[int]
    INTEREST_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    start: Start
    ack: Ack
    interest: Interest
    window: Window
    def __init__(self, start: _Optional[_Union[Start, _Mapping]] = ..., ack: _Optional[_Union[Ack, _Mapping]] = ..., interest: _Optional[_Union[Interest, _Mapping]] = ..., window: _Optional[_Union[Window, _Mapping]] = ...) -> None: ...

class Start(_message.Message):
    __slots__ = ("log_id", "region", "node", "term", "position", "since", "interest", "window", "frame_format", "relays")
    LOG_ID_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    TERM_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    INTEREST_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    FRAME_FORMAT_FIELD_NUMBER: _ClassVar[int]
    RELAYS_FIELD_NUMBER: _ClassVar[int]
    log_id: str
    region: str
    node: str
    term: int
    position: Place
    since: float
    interest: Interest
    window: int
    frame_format: int
    relays: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, log_id: _Optional[str] = ..., region: _Optional[str] = ..., node: _Optional[str] = ..., term: _Optional[int] = ..., position: _Optional[_Union[Place, _Mapping]] = ..., since: _Optional[float] = ..., interest: _Optional[_Union[Interest, _Mapping]] = ..., window: _Optional[int] = ..., frame_format: _Optional[int] = ..., relays: _Optional[_Iterable[str]] = ...) -> None: ...

class Ack(_message.Message):
    __slots__ = ("durable",)
    DURABLE_FIELD_NUMBER: _ClassVar[int]
    durable: Place
    def __init__(self, durable: _Optional[_Union[Place, _Mapping]] = ...) -> None: ...

class Interest(_message.Message):
    __slots__ = ("version", "expression")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    EXPRESSION_FIELD_NUMBER: _ClassVar[int]
    version: int
    expression: str
    def __init__(self, version: _Optional[int] = ..., expression: _Optional[str] = ...) -> None: ...

class Window(_message.Message):
    __slots__ = ("bytes",)
    BYTES_FIELD_NUMBER: _ClassVar[int]
    bytes: int
    def __init__(self, bytes: _Optional[int] = ...) -> None: ...

class FromLog(_message.Message):
    __slots__ = ("page", "begun", "holds", "trimmed", "diverged", "closed")
    PAGE_FIELD_NUMBER: _ClassVar[int]
    BEGUN_FIELD_NUMBER: _ClassVar[int]
    HOLDS_FIELD_NUMBER: _ClassVar[int]
    TRIMMED_FIELD_NUMBER: _ClassVar[int]
    DIVERGED_FIELD_NUMBER: _ClassVar[int]
    CLOSED_FIELD_NUMBER: _ClassVar[int]
    page: Page
    begun: Begun
    holds: InterestHolds
    trimmed: Trimmed
    diverged: Diverged
    closed: Closed
    def __init__(self, page: _Optional[_Union[Page, _Mapping]] = ..., begun: _Optional[_Union[Begun, _Mapping]] = ..., holds: _Optional[_Union[InterestHolds, _Mapping]] = ..., trimmed: _Optional[_Union[Trimmed, _Mapping]] = ..., diverged: _Optional[_Union[Diverged, _Mapping]] = ..., closed: _Optional[_Union[Closed, _Mapping]] = ...) -> None: ...

class Begun(_message.Message):
    __slots__ = ("after", "term", "handed_out", "durable")
    AFTER_FIELD_NUMBER: _ClassVar[int]
    TERM_FIELD_NUMBER: _ClassVar[int]
    HANDED_OUT_FIELD_NUMBER: _ClassVar[int]
    DURABLE_FIELD_NUMBER: _ClassVar[int]
    after: int
    term: int
    handed_out: int
    durable: int
    def __init__(self, after: _Optional[int] = ..., term: _Optional[int] = ..., handed_out: _Optional[int] = ..., durable: _Optional[int] = ...) -> None: ...

class Page(_message.Message):
    __slots__ = ("frames", "upto", "accepted", "end", "gaps")
    FRAMES_FIELD_NUMBER: _ClassVar[int]
    UPTO_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    GAPS_FIELD_NUMBER: _ClassVar[int]
    frames: _containers.RepeatedScalarFieldContainer[bytes]
    upto: Place
    accepted: float
    end: int
    gaps: _containers.RepeatedCompositeFieldContainer[Gap]
    def __init__(self, frames: _Optional[_Iterable[bytes]] = ..., upto: _Optional[_Union[Place, _Mapping]] = ..., accepted: _Optional[float] = ..., end: _Optional[int] = ..., gaps: _Optional[_Iterable[_Union[Gap, _Mapping]]] = ...) -> None: ...

class Gap(_message.Message):
    __slots__ = ("first", "last")
    FIRST_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    first: int
    last: int
    def __init__(self, first: _Optional[int] = ..., last: _Optional[int] = ...) -> None: ...

class InterestHolds(_message.Message):
    __slots__ = ("version", "after", "uncompiled")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    UNCOMPILED_FIELD_NUMBER: _ClassVar[int]
    version: int
    after: int
    uncompiled: str
    def __init__(self, version: _Optional[int] = ..., after: _Optional[int] = ..., uncompiled: _Optional[str] = ...) -> None: ...

class Trimmed(_message.Message):
    __slots__ = ("first",)
    FIRST_FIELD_NUMBER: _ClassVar[int]
    first: int
    def __init__(self, first: _Optional[int] = ...) -> None: ...

class Diverged(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: str
    def __init__(self, reason: _Optional[str] = ...) -> None: ...

class Closed(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: str
    def __init__(self, reason: _Optional[str] = ...) -> None: ...

class Beat(_message.Message):
    __slots__ = ("time", "load", "logs")
    TIME_FIELD_NUMBER: _ClassVar[int]
    LOAD_FIELD_NUMBER: _ClassVar[int]
    LOGS_FIELD_NUMBER: _ClassVar[int]
    time: float
    load: float
    logs: _containers.RepeatedCompositeFieldContainer[LogState]
    def __init__(self, time: _Optional[float] = ..., load: _Optional[float] = ..., logs: _Optional[_Iterable[_Union[LogState, _Mapping]]] = ...) -> None: ...
