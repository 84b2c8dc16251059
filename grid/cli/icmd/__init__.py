"""The i-commands: programs on python-irodsclient, with the names, options and output that icommands have.

They use nothing that a stranger's client could not use, so they work against any iRODS server.
"""
