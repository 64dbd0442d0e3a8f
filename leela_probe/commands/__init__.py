"""The subcommands of `leela-probe`, and what they share: options, the terminal, listings, files.

Stands on every room but `weights`; what takes time to import is
imported by the subcommand that needs it.
"""
