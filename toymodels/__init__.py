"""Toy models of superposition and interference: compiled sweeps, geometry and theory."""
