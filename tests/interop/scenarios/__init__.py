"""One module for each real program."""
