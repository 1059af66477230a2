"""`python -m autoresearch` is `autoresearch`."""

from autoresearch.cli.main import main

main()
