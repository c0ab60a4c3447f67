"""Update rules from their configuration, with torch.optim's conventions so that reported rates mean the same."""

import jax
import optax

from jaxnets.config import Optim
from jaxnets.spsa import spsa, spsa_gradient


def build(config: Optim, steps: int, steps_per_epoch: int, key: jax.Array) -> optax.GradientTransformationExtraArgs:
    """The transform for a training run of `steps` steps. `key` seeds update rules that draw random numbers."""
    if config.name == "spsa":
        gains = config.spsa
        if gains.rule == "adam":
            estimate = spsa_gradient(key, gains.c, gains.gamma, gains.directions)
            return optax.chain(estimate, optax.adam(learning_rate(config, steps, steps_per_epoch)))
        return spsa(key, gains.a, gains.big_a, gains.c, gains.alpha, gains.gamma, gains.directions)
    rate = learning_rate(config, steps, steps_per_epoch)
    rule = {
        "sgd": lambda: optax.sgd(rate, config.momentum or None),
        "adam": lambda: optax.adam(rate),
        "adamw": lambda: optax.adamw(rate, weight_decay=config.weight_decay),
        "rmsprop": lambda: optax.rmsprop(rate, decay=0.99, eps=1e-8, eps_in_sqrt=False, momentum=config.momentum or None),
    }[config.name]()
    # The L2 penalty's gradient joins the loss's before the rule sees it; behind the rule it would have the wrong sign.
    decay = [optax.add_decayed_weights(config.weight_decay)] if config.weight_decay and config.name != "adamw" else []
    clip = [optax.clip_by_global_norm(config.clip)] if config.clip else []
    return optax.with_extra_args_support(optax.chain(*clip, *decay, rule))


def learning_rate(config: Optim, steps: int, steps_per_epoch: int) -> optax.Schedule:
    """The rate as a function of the number of updates made."""
    warmup = min(steps, round(config.warmup_epochs * steps_per_epoch))
    rest = max(1, steps - warmup)
    after = {
        "constant": lambda: optax.constant_schedule(config.lr),
        "cosine": lambda: optax.cosine_decay_schedule(config.lr, rest),
        "linear": lambda: optax.linear_schedule(config.lr, 0.0, rest),
    }[config.schedule]()
    if not warmup:
        return after
    return optax.join_schedules([optax.linear_schedule(0.0, config.lr, warmup), after], [warmup])
