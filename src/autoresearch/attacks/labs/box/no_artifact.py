"""Ends well, with exit code 0, and has handed nothing in.

protects: a bad run is one experiment
expect: crash
says: without a complete artifact
needs tier: 1
"""

import prepare

prepare.start()
