"""What the next researcher reads of the experiments before: `history/`."""
