"""What a content type says of bytes: whether they are JSON, and in which charset."""

from __future__ import annotations

import re
from functools import lru_cache

UTF_8 = "utf-8"
_CHARSET = re.compile(r';[ \t]*charset=(?:"([^"]*)"|([^;\s]*))', re.ASCII | re.IGNORECASE).search
_PYTHON_NAMES = {
    "utf-8": UTF_8,
    "utf8": UTF_8,
    "us-ascii": UTF_8,  # a part of it
    "iso-8859-1": "latin-1",
    "windows-1252": "cp1252",
    "utf-16": "utf-16",
    "utf-16le": "utf-16-le",
    "utf-16be": "utf-16-be",
}


def essence(content_type: str) -> str:
    """`type/subtype` without parameters, in lower case."""
    return content_type.partition(";")[0].strip(" \t").lower()


@lru_cache(1024)
def is_json(content_type: str) -> bool:
    """Whether it declares JSON: `*/json` or `*/*+json` (JSON format 3.1.1)."""
    return essence(content_type).endswith(("/json", "+json"))


@lru_cache(1024)
def charset_of(content_type: str) -> str | None:
    """Python's name of the charset it declares, UTF-8 if it declares none; None for one we do not know."""
    found = _CHARSET(content_type)
    return UTF_8 if found is None else _PYTHON_NAMES.get((found.group(1) or found.group(2) or "").lower())


@lru_cache(1024)
def is_text(content_type: str) -> bool:
    """Whether it declares text in UTF-8: JSON, XML or `text/*`."""
    kind = essence(content_type)
    return is_json(content_type) or (
        (kind.startswith("text/") or kind.endswith(("/xml", "+xml"))) and charset_of(content_type) == UTF_8
    )
