"""Streams of detector frames: taken in, reduced, decided about and stored while they pass."""
