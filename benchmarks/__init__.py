"""Timings against peers, in one run and as ratios: `make bench`."""
