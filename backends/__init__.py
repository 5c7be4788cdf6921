"""The demo backends: what stands behind the balancer in `lb demo`, in tests and in benchmarks.

A stand-alone service: it knows nothing of `lb`, and `lb` never imports it.
"""
