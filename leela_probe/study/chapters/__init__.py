"""The experiments of a study, one in each file; `contents` names them."""
