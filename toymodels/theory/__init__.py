"""Closed forms and bounds, each citing its equation; one module a problem."""
