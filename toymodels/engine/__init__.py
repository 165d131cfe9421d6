"""Runs -> arrays, fast: the compiled loop, how runs are cut into batches, random keys, small products, devices."""
