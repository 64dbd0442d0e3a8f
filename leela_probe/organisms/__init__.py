"""Networks whose look-ahead is known, puzzles for them, and what the experiments make of both."""
