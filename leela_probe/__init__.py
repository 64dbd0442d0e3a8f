"""leela-probe: find out whether chess networks look ahead.

Every public name lives in its module: `network.load`, `filters.filter_puzzles`,
`corruptions.corrupt`. Every module lives in a room: `networks.network`, `puzzles.filters`,
`puzzles.corruptions`. Nothing is imported here or by a room, so that what you do not use costs
nothing.
"""

__version__ = "0.1.0"
