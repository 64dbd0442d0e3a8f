"""How commands are put together: every one is registered in the same way, with its examples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import typer
from typer.core import TyperCommand

from leela_probe.commands import groups

__all__ = ["Command", "Group", "add", "application"]


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


class _Command(TyperCommand):
    """A command whose option --help shows no type."""

    def get_help_option(self, ctx):  # type: ignore[no-untyped-def]
        option = super().get_help_option(ctx)
        if option is not None:
            option.metavar = ""
        return option


def application(help: str, *, name: str | None = None) -> typer.Typer:
    """A command line that has no commands yet."""
    return typer.Typer(
        name=name,
        help=help,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
        context_settings={"help_option_names": ["-h", "--help"]},
    )


def add(app: typer.Typer, members: Sequence[Command | Group | typer.Typer]) -> typer.Typer:
    """The same command line, with commands and groups of commands added in this order."""
    for member in members:
        if isinstance(member, Group):
            app.add_typer(add(application(member.help), member.commands), name=member.name)
        elif isinstance(member, typer.Typer):
            app.add_typer(member)
        else:
            app.command(name=member.name, cls=_Command, epilog=epilog(member.examples))(
                groups.spread(member.run)
            )
    return app


def epilog(examples: Sequence[str]) -> str:
    """Examples as the end of a help text."""
    heading = "Example:" if len(examples) == 1 else "Examples:"
    return "\n\n".join([heading, *examples])
