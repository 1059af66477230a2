"""What a study's experiments say, as facts: no text for a reader, no files."""
