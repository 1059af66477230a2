"""Research that runs while its user sleeps."""

__version__ = "0.1.0"
