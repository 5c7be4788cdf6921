"""One file per thing that is measured; each has ``run(plan) -> Outcome``."""
