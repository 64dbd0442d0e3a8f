"""Groups of options: what several commands share is declared once and handed over as one record.

A group is a frozen dataclass whose fields are annotated options. A command takes a group as one
keyword parameter, and `spread` shows the group's options to the command line in its place.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import typing
from collections.abc import Callable
from typing import Any

__all__ = ["spread"]


def spread(command: Callable[..., None]) -> Callable[..., None]:
    """The command as the command line sees it: each group of options in place of its parameter.

    Args:
        command: a function; each parameter whose type is a dataclass is a group of options.

    Raises:
        TypeError: if two parameters or options of the command have the same name.

    Example:
        >>> @dataclasses.dataclass(frozen=True, kw_only=True)
        ... class RunOptions:
        ...     device: str = "cpu"
        ...     dtype: str = "float32"
        >>> @spread
        ... def show(net: str, *, run: RunOptions) -> None:
        ...     print(net, run)
        >>> list(inspect.signature(show).parameters)
        ['net', 'device', 'dtype']
        >>> show(net="maia", device="cuda", dtype="float16")
        maia RunOptions(device='cuda', dtype='float16')
    """
    types = typing.get_type_hints(command, include_extras=True)
    groups: dict[str, Any] = {
        name: type_ for name, type_ in types.items() if dataclasses.is_dataclass(type_)
    }
    parameters: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(command).parameters.items():
        of = groups.get(name)
        spread_out = [parameter] if of is None else inspect.signature(of).parameters.values()
        known = types if of is None else typing.get_type_hints(of, include_extras=True)
        parameters += [
            each.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=known[each.name])
            for each in spread_out
        ]
    names = [parameter.name for parameter in parameters]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise TypeError(f"{command.__name__} has two options of the name {twice!r}: rename one")

    @functools.wraps(command)
    def called(**values: Any) -> None:
        records = {
            name: group(
                **{field.name: values.pop(field.name) for field in dataclasses.fields(group)}
            )
            for name, group in groups.items()
        }
        command(**values, **records)

    called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    called.__annotations__ = {each.name: each.annotation for each in parameters}
    return called
