"""What confines runs and agents. `confine` and `stdlib` are run as programs, too."""
