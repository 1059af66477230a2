"""What a person orders while a study runs: given, kept in the store, obeyed."""
