"""The whole study, from a dump of puzzles and two networks to one page with the paper's numbers."""
