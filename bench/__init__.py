"""Benchmarks: one for each figure that the README gives, as ratios and as server CPU per operation."""
