"""What to change in a network, the effects of all these changes on puzzles, and their table."""
