"""Policy: the rules of a zone, decided before and acted on after each operation."""
