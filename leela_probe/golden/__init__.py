"""The published values of the paper's own networks, and how ours stand beside them."""
