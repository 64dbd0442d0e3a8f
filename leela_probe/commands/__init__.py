"""The subcommands of `leela-probe`, and what they share: options, the terminal, listings, files."""
