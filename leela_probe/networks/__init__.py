"""A network that runs: converted, opened, evaluated, verified, its activations read and changed."""
