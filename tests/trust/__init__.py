"""What the store and the trainer survive: faults tried, survived and lost, and results under JAX's settings.

    python -m tests.trust [--flips N] [--kills N] [--out docs/trust.md]

Each fault is a function that yields, attempt by attempt, whether nothing was lost or silently changed. The default
tests run a handful of attempts of each, the slow ones more.
"""
