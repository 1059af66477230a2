"""Never gets ready.

protects: a bad run is one experiment
expect: timeout
says: not ready to train after
needs tier: 1
"""

import time

time.sleep(60)
