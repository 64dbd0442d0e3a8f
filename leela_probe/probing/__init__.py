"""Read a future move out of activations, beside controls that know nothing of the future."""
