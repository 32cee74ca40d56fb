"""The only torch: one fresh process per measurement, started by name, which speaks in events.

It imports the spec and the event types, and nothing else of ours; nobody imports it but its own tests.
"""
