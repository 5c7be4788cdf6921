"""The benchmark: our balancer beside others, in one run, on one machine. See ``docs/benchmarks.md``."""
