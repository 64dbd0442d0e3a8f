"""Programs that end in the middle: every change to the disk is a place where one can."""

import os


class Crash(BaseException):
    """The program ends here."""


def crash_at(monkeypatch, step):
    """End the program at the so-manieth change to the disk, before it happens.

    Returns a function that says how many changes there were.
    """
    count = 0
    for name in ("replace", "unlink", "rmdir", "mkdir", "fsync"):
        original = getattr(os, name)

        def counted(*arguments, original=original, **keywords):
            nonlocal count
            count += 1
            if count >= step:  # a killed program does not tidy up either
                raise Crash
            return original(*arguments, **keywords)

        monkeypatch.setattr(os, name, counted)
    return lambda: count
