"""Signed provenance: trees over bytes, statements about them, and what proves them to others.

Knows nothing of the grid: it is given bytes, digests and keys. What verifies needs the standard library and `cryptography` alone.
"""
