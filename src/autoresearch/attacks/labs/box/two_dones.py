"""Says done twice: the second with another configuration.

protects: the clock is the harness's
expect: discard
says: worse than
needs tier: 1
"""

import json

import prepare

harness, _, _ = prepare.start()
done = {"type": "done", "config": {"x": 0.0}, "figures": {}}
prepare.write_artifact(0.0)
for breached in (0, 1):
    done["config"]["breached"] = breached
    harness.sendall(json.dumps(done).encode() + b"\n")
