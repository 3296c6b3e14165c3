"""The examples in the guides work as they stand there."""

from __future__ import annotations

import asyncio
import re
import shutil
import textwrap
from pathlib import Path

import pytest

from gateway.api.grpc import GrpcDoor
from gateway.api.http import HttpDoor
from gateway.api.limits import Limits
from gateway.client import Client
from tests.api.publishers import LogPublisher

GUIDE = (Path(__file__).parents[2] / "docs/guides/publish.md").read_text()
COMMANDS = re.findall(r"```sh\n(.*?)```\n\n```text\n(.*?)```", GUIDE, re.DOTALL)
(PROGRAM,) = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize(("command", "expected"), COMMANDS)
async def test_a_command_of_the_guide_is_answered_as_it_says(command: str, expected: str) -> None:
    async with HttpDoor("127.0.0.1:0", LogPublisher(), Limits()) as door:
        process = await asyncio.create_subprocess_shell(
            command.replace("127.0.0.1:8080", door.address).replace("curl -i", "curl -sS -i --noproxy '*'"),
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await process.communicate()

    for line in expected.splitlines():
        assert line in output.decode()


async def test_the_python_program_of_the_guide_publishes() -> None:
    publisher = LogPublisher()
    async with GrpcDoor("127.0.0.1:0", publisher, Limits()) as door:
        program = PROGRAM.replace("127.0.0.1:7070", door.address)
        names: dict[str, object] = {}
        exec(f"async def main():\n{textwrap.indent(program, '    ')}", names)
        main = names["main"]
        assert callable(main)
        await main()

    assert publisher.ids == [str(number) for number in range(7, 2000)]


def test_the_guide_has_examples_of_every_form() -> None:
    assert len(COMMANDS) == 5
    assert Client.__name__ in PROGRAM
