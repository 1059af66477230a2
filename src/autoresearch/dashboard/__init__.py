"""The live page: reads the store and the study's folder, never the loop.

access    who may look and give orders      reader    rows out of SQLite, read-only
live      now.json, curves                  state     all that is known of a study at a moment
hub       one poller for all browsers       feed      what has changed, as server-sent events
details   one experiment                    api       the addresses that the page asks
"""
