"""`isthmus test`: run the unit tests of a config."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003  typer reads the annotations
from typing import TYPE_CHECKING, Annotated
from xml.etree import ElementTree as ET

import typer

from gateway.app import printing

if TYPE_CHECKING:
    from gateway.app.expectations import Outcome


def run_tests(
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="YAML files of tests.")],
    *,
    junit: Annotated[
        Path | None, typer.Option(help="Write the outcomes there too, as JUnit XML.", show_default=False)
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print failures only.")] = False,
) -> None:
    """Test a config: given events, expected subscriptions and what they send. Exit code 1 when a test fails.

    No node is needed and nothing is sent. The guide about filters shows the file.
    """
    from gateway.app.expectations import run  # noqa: PLC0415  the languages, which most commands do not need

    outcomes: dict[str, list[Outcome]] = {}
    for file in files:
        outcomes[str(file)] = []
        for outcome in run(file):
            outcomes[str(file)].append(outcome)
            if outcome.problems or not quiet:
                how = "FAILED" if outcome.problems else "passed"
                printing.line(printing.printable(f"{how} {outcome.place} {outcome.name}"))
            for problem in outcome.problems:
                printing.line(f"  {printing.printable(problem)}")
    if junit is not None:
        junit.write_bytes(_junit(outcomes))
    every = [outcome for found in outcomes.values() for outcome in found]
    failed = sum(bool(outcome.problems) for outcome in every)
    printing.line(f"{len(every) - failed} passed, {failed} failed")
    if failed:
        raise typer.Exit(1)


def _junit(outcomes: dict[str, list[Outcome]]) -> bytes:
    """The report that CI systems read: a suite a file, a case a test."""
    root = ET.Element("testsuites")
    for file, found in outcomes.items():
        failed = sum(bool(outcome.problems) for outcome in found)
        suite = ET.SubElement(
            root,
            "testsuite",
            name=printing.printable(file),
            tests=str(len(found)),
            failures=str(failed),
            errors="0",
            skipped="0",
            time=f"{sum(outcome.seconds for outcome in found):.6f}",
        )
        for outcome in found:
            case = ET.SubElement(
                suite,
                "testcase",
                classname=printing.printable(file),
                name=printing.printable(outcome.name),
                time=f"{outcome.seconds:.6f}",
            )
            if outcome.problems:
                texts = [printing.printable(problem) for problem in outcome.problems]
                failure = ET.SubElement(case, "failure", message=texts[0])
                failure.text = "\n".join([printing.printable(outcome.place), *texts])
    ET.indent(root)
    text: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return text + b"\n"
