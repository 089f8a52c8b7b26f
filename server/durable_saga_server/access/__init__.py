"""Who may do what at a server's port (docs/identity.md): TLS, identity, roles, tokens, the audit log.

`roles` and `policy` decide and know no I/O. The engine in a user's own process uses none of it.
"""
