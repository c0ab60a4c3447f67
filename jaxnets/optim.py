"""Update rules from their configuration, with torch.optim's conventions so that reported rates mean the same."""

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import optax

from jaxnets.config import Optim
from jaxnets.errors import UserError
from jaxnets.fields import with_field
from jaxnets.spsa import spsa, spsa_gradient

Array = jax.Array
_Transform: TypeAlias = optax.GradientTransformationExtraArgs


def build(
    config: Optim, steps: int, steps_per_epoch: int, key: Array, values: Mapping[str, Array] | None = None
) -> _Transform:
    """The transform for a training run of `steps` steps.

    Args:
      config: which rule.
      steps: length of training.
      steps_per_epoch: what a warm-up is measured in.
      key: the root of randomness of rules that draw some.
      values: for fields of `config` in jaxnets.config.TRACED, arrays that take their place. They become part of the
        transform's state, so that each replica keeps its own.
    """

    def make(values: Mapping[str, Array]) -> _Transform:
        own = config
        for path, value in values.items():
            own = with_field(own, path, value)
        rule = _rule(own, steps, steps_per_epoch, key)
        return only_head(rule) if own.trainable == "head" else rule

    return _carrying(values, make) if values else make({})


def _carrying(values: Mapping[str, Array], make: Callable[[Mapping[str, Array]], _Transform]) -> _Transform:
    """make(values), with the values in its state."""

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        values, inner = state
        updates, inner = make(values).update(updates, inner, params, **extra)
        return updates, (values, inner)

    return optax.GradientTransformationExtraArgs(lambda params: (dict(values), make(values).init(params)), update)


def head(params: Mapping[str, Any]) -> str:
    """The name of a model's last dense layer. Raises UserError for a model that has none of its own."""
    if "head" in params:
        return "head"
    numbers = [int(match.group(1)) for name in params if (match := re.fullmatch(r"Dense_(\d+)", name))]
    if not numbers:
        raise UserError("optim.trainable head needs a model that ends in a dense layer; this one does not")
    return f"Dense_{max(numbers)}"


def only_head(rule: optax.GradientTransformation) -> _Transform:
    """The rule for the last dense layer; all other parameters stay as they are.

    The rule sees that layer alone: its penalty, its norms and its state, and SPSA's directions too.
    """
    rule = optax.with_extra_args_support(rule)

    def update(updates: Any, state: Any, params: Any, value_fn: Callable[[Any], Array] | None = None, **extra: Any) -> Any:
        name = head(params)
        if value_fn is not None:
            extra["value_fn"] = lambda own: value_fn({**params, name: own})
        own, state = rule.update(updates[name], state, params[name], **extra)
        return {**jax.tree.map(jnp.zeros_like, params), name: own}, state

    return optax.GradientTransformationExtraArgs(lambda params: rule.init(params[head(params)]), update)


def _rule(config: Optim, steps: int, steps_per_epoch: int, key: Array) -> _Transform:
    if config.name == "spsa":
        gains = config.spsa
        if gains.rule == "adam":
            estimate = spsa_gradient(key, gains.c, gains.gamma, gains.directions)
            return optax.chain(estimate, optax.adam(learning_rate(config, steps, steps_per_epoch)))
        return spsa(key, gains.a, gains.big_a, gains.c, gains.alpha, gains.gamma, gains.directions)
    rate = learning_rate(config, steps, steps_per_epoch)
    momentum = config.momentum if _wanted(config.momentum) else None
    rule = {
        "sgd": lambda: optax.sgd(rate, momentum),
        "adam": lambda: optax.adam(rate),
        "adamw": lambda: optax.adamw(rate, weight_decay=config.weight_decay),
        "rmsprop": lambda: optax.rmsprop(rate, decay=0.99, eps=1e-8, eps_in_sqrt=False, momentum=momentum),
    }[config.name]()
    # The L2 penalty's gradient joins the loss's before the rule sees it; behind the rule it would have the wrong sign.
    penalised = config.name != "adamw" and _wanted(config.weight_decay)
    decay = [optax.add_decayed_weights(config.weight_decay)] if penalised else []
    # Among replicas that differ, 0 still means none.
    longest = jnp.where(config.clip > 0, config.clip, jnp.inf)
    clip = [optax.clip_by_global_norm(longest)] if _wanted(config.clip) else []
    return optax.with_extra_args_support(optax.chain(*clip, *decay, rule))


def _wanted(value: Any) -> bool:
    """Whether a value asks for its transform: arrays do, since they differ from replica to replica."""
    return not isinstance(value, int | float) or value != 0


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
