"""What the AWS connectors share: one client for life, and what AWS's errors mean."""

from __future__ import annotations

import re
from contextlib import AsyncExitStack, asynccontextmanager
from functools import cache
from typing import TYPE_CHECKING

from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession, get_session
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    HTTPClientError,
    MetadataRetrievalError,
    NoCredentialsError,
)
from pydantic import Field, model_validator

from gateway.core.contracts import Settings
from gateway.core.errors import ConfigError, Rejected, Unauthorized, Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from typing import Self

    from types_aiobotocore_sqs import SQSClient

FAILURES = (ClientError, BotoCoreError, OSError, TimeoutError)
"""What a call of the SDK raises when it does not work."""

_NOT_NOW = (CredentialRetrievalError, MetadataRetrievalError, HTTPClientError)
"""What a client cannot be made for now; any other error of the SDK then is one of configuration."""

_UNAUTHORIZED = re.compile(
    r"AccessDenied|InvalidClientTokenId|UnrecognizedClient|SignatureDoesNotMatch|InvalidAccessKeyId|AuthFailure"
    r"|ExpiredToken|MissingAuthenticationToken|IncompleteSignature|InvalidSecurity|NotAuthorized|OptInRequired"
)
_NEVER = re.compile(r"InvalidMessageContents|InvalidAttributeValue|BatchRequestTooLong|MessageTooLong")
_THROTTLED = re.compile(r"Throttl|TooManyRequests|OverLimit|SlowDown|RequestLimit|ServiceUnavailable|InternalError")


class QueueSettings(Settings):
    """A queue. Credentials come from where every AWS tool looks for them (environment, profile, role)."""

    url: str = Field(pattern=r"^https?://[^/\s]+/[^/\s]+/[^/\s]+$")
    """The queue's URL, as AWS shows it."""
    region: str | None = None
    """The AWS region; default: as in the URL."""
    endpoint: str | None = Field(default=None, pattern=r"^https?://[^/\s]+")
    """Another address of the API: a VPC endpoint or an emulator."""

    @model_validator(mode="after")
    def _tells_its_region(self) -> Self:
        if self.region is None and _region(self.url) is None:
            raise ValueError("region is needed, the URL does not tell it")
        return self

    @property
    def where(self) -> str:
        """The AWS region of the queue."""
        region = self.region or _region(self.url)
        assert region is not None  # noqa: S101  (checked above)
        return region

    @property
    def arn(self) -> str:
        """The queue's ARN, made of its URL: asking for it would need another permission."""
        account, name = self.url.rsplit("/", 2)[1:]
        partition = next((p for p in ("aws-cn", "aws-us-gov") if self.where.startswith(p.removeprefix("aws-"))), "aws")
        return f"arn:{partition}:sqs:{self.where}:{account}:{name}"

    @property
    def is_fifo(self) -> bool:
        """Whether the queue keeps order in groups."""
        return self.url.endswith(".fifo")


@asynccontextmanager
async def sqs_client(settings: QueueSettings, *, connections: int) -> AsyncIterator[SQSClient]:
    """A client for the connector's whole life; its credentials refresh themselves.

    :raises ConfigError: a profile, a region or a file of AWS's own configuration is not as it must be.
    :raises Unavailable: the credentials cannot be had now.
    """
    config = AioConfig(
        max_pool_connections=connections,
        connect_timeout=5,
        read_timeout=30,  # more than a long poll
        retries={"mode": "standard", "total_max_attempts": 2},
        user_agent_extra="isthmus",
        parameter_validation=False,  # the type checker did it
    )
    async with AsyncExitStack() as things:
        try:
            client = await things.enter_async_context(
                _session().create_client(
                    "sqs", region_name=settings.where, endpoint_url=settings.endpoint, config=config
                )
            )
        except _NOT_NOW as problem:
            raise Unavailable(f"connect to {settings.url}: {problem}") from problem
        except BotoCoreError as problem:
            raise ConfigError(f"AWS is not configured for {settings.url}: {problem}") from problem
        yield client


def failure(problem: Exception, what: str) -> Unavailable | Rejected:
    """What an error of AWS means. `what` says what was attempted, on what."""
    if isinstance(problem, ClientError):
        error = problem.response.get("Error", {})
        return refusal(error.get("Code", "Unknown"), error.get("Message", ""), what)
    if isinstance(problem, NoCredentialsError | CredentialRetrievalError):
        return Unauthorized(f"{what}: {problem}")
    return Unavailable(f"{what}: {str(problem) or type(problem).__name__}")


def refusal(code: str, message: str, what: str, *, is_fault_of_sender: bool = False) -> Unavailable | Rejected:
    """What an error code of AWS means, for a call or for one entry of a batch."""
    said = f"{what}: {code}: {message}" if message else f"{what}: {code}"
    if _UNAUTHORIZED.search(code):
        return Unauthorized(said)
    if "NonExistentQueue" in code or "QueueDoesNotExist" in code:
        return Unavailable(f"{what}: there is no such queue in this account and region")
    if _NEVER.search(code) or (is_fault_of_sender and not _THROTTLED.search(code)):
        return Rejected(said)
    return Unavailable(said)


@cache
def _session() -> AioSession:
    """One for the process: it keeps the description of the services, which takes 0.1 s to read, and the credentials."""
    return get_session()


def _region(url: str) -> str | None:
    """The region in a URL of AWS; None for any other."""
    found = re.match(r"https?://(?:sqs\.)?([a-z0-9-]+)\.(?:queue\.)?amazonaws\.com", url)
    if found is None:
        return None
    return "us-east-1" if found[1] == "queue" else found[1]  # the first region had no name
