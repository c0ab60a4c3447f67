"""Update rules: optax transforms from configs, schedules, and SPSA."""
