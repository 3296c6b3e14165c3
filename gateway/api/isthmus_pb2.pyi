from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PublishRequest(_message.Message):
    __slots__ = ("sequence", "space", "cloudevents", "json_batch", "packed")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    SPACE_FIELD_NUMBER: _ClassVar[int]
    CLOUDEVENTS_FIELD_NUMBER: _ClassVar[int]
    JSON_BATCH_FIELD_NUMBER: _ClassVar[int]
    PACKED_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    space: str
    cloudevents: bytes
    json_batch: bytes
    packed: bytes
    def __init__(self, sequence: _Optional[int] = ..., space: _Optional[str] = ..., cloudevents: _Optional[bytes] = ..., json_batch: _Optional[bytes] = ..., packed: _Optional[bytes] = ...) -> None: ...

class PublishResponse(_message.Message):
    __slots__ = ("sequence", "accepted", "refused", "unavailable")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    UNAVAILABLE_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    accepted: int
    refused: _containers.RepeatedCompositeFieldContainer[Refused]
    unavailable: Unavailable
    def __init__(self, sequence: _Optional[int] = ..., accepted: _Optional[int] = ..., refused: _Optional[_Iterable[_Union[Refused, _Mapping]]] = ..., unavailable: _Optional[_Union[Unavailable, _Mapping]] = ...) -> None: ...

class Refused(_message.Message):
    __slots__ = ("index", "reason")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    index: int
    reason: str
    def __init__(self, index: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...

class Unavailable(_message.Message):
    __slots__ = ("reason", "after")
    REASON_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    reason: str
    after: float
    def __init__(self, reason: _Optional[str] = ..., after: _Optional[float] = ...) -> None: ...
