"""Python source code: its constants, their values, and what a change touches."""
