"""How commands are put together: every one is registered in the same way, with its examples."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from leela_probe.commands import groups, terminal

__all__ = ["Command", "Group", "application", "epilog"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command.

    Attributes:
        name: as it is typed.
        run: does the work; its docstring is the help text.
        examples: whole command lines, shown in the help; each runs on what ships.
    """

    name: str
    run: Callable[..., None]
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Commands under a common name, such as `leela-probe patch`.

    Attributes:
        name: as it is typed.
        help: what they have in common.
        commands: in the order in which they are listed.
    """

    name: str
    help: str
    commands: tuple[Command, ...]


class _PlainHelp:
    """Shows the option --help without a type."""

    def get_help_option(self, ctx: Any) -> Any:
        option = super().get_help_option(ctx)  # type: ignore[misc]
        if option is not None:
            option.metavar = ""
        return option


class _Command(_PlainHelp, TyperCommand):
    pass


def application(
    members: Sequence[Command | Group], *, help: str, name: str | None = None
) -> typer.Typer:
    """A command line of these commands and groups of commands, listed in this order."""
    names = [member.name for member in members]

    class InOrder(_PlainHelp, TyperGroup):
        def list_commands(self, ctx: Any) -> list[str]:
            return names

    app = typer.Typer(
        name=name,
        help=help,
        cls=InOrder,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    for member in members:
        if isinstance(member, Group):
            app.add_typer(application(member.commands, help=member.help, name=member.name))
        else:
            app.command(name=member.name, cls=_Command, epilog=epilog(member.examples))(
                _guarded(groups.spread(member.run))
            )
    return app


def _guarded(command: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(command)
    def called(**values: object) -> None:
        with terminal.interruptible():
            try:
                command(**values)
            except SystemExit as end:  # no command of ours ends the program in this way
                raise RuntimeError(f"a library wanted to end the program ({end.code})") from end

    return called


def epilog(examples: Sequence[str]) -> str:
    """Examples as the end of a help text."""
    heading = "Example:" if len(examples) == 1 else "Examples:"
    return "\n\n".join([heading, *examples])
