"""Commands are registered in one way: in order, with examples, and every end of one is clean."""

from __future__ import annotations

import signal

import pytest
import typer
from typer.testing import CliRunner, Result

from leela_probe.commands import registration, terminal


def _run(act: object, *arguments: str) -> Result:
    def work() -> None:
        """Work."""
        if isinstance(act, BaseException):
            raise act
        print(act)

    app = registration.application(
        [
            registration.Command(name="work", run=work, examples=("leela-probe work",)),
            registration.Group(
                name="more",
                help="Do more.",
                commands=(registration.Command(name="later", run=work, examples=("a", "b")),),
            ),
            registration.Command(name="after", run=work, examples=()),
        ],
        help="Test.",
    )
    return CliRunner().invoke(app, list(arguments))


def test_commands_and_groups_are_listed_in_their_order() -> None:
    text = _run("", "--help").output
    assert text.index("work") < text.index("more") < text.index("after")
    assert "<bool>" not in text


def test_examples_stand_below_the_help() -> None:
    assert "Example: leela-probe work" in " ".join(_run("", "work", "--help").output.split())
    assert "Examples:" in _run("", "more", "later", "--help").output
    assert "<bool>" not in _run("", "more", "later", "--help").output


def test_a_command_runs() -> None:
    result = _run("done", "more", "later")
    assert (result.exit_code, result.output) == (0, "done\n")


@pytest.mark.parametrize(
    ("interruption", "code", "word"),
    [(KeyboardInterrupt(), 130, "interrupted"), (terminal.Terminated(), 143, "terminated")],
)
def test_an_interruption_ends_with_one_line(
    interruption: BaseException, code: int, word: str
) -> None:
    result = _run(interruption, "work")
    assert result.exit_code == code
    assert result.stderr == f"leela-probe: {word}\n"
    assert code in (128 + signal.SIGINT, 128 + signal.SIGTERM)


def test_a_library_that_ends_the_program_does_not_do_so_unheard() -> None:
    result = _run(SystemExit(0), "work")
    assert result.exit_code == 1
    assert "a library wanted to end the program (0)" in str(result.exception)


def test_a_command_may_end_with_a_status_of_its_own() -> None:
    assert _run(typer.Exit(1), "work").exit_code == 1
