"""Pure functions of weights and trajectories."""
