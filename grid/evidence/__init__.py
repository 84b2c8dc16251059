"""The zone's own signed statements: made of what the outbox asks for, put into its log, witnessed by others.

Who asks is the policy; who signs is one process of the zone at a time, with the keys of its services.
"""
