"""Update rules from their configs, with torch.optim's conventions so that reported rates mean the same."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import optax

from jaxnets.config import TRACED, Optim, field_at
from jaxnets.errors import UserError
from jaxnets.optim.schedules import learning_rate
from jaxnets.optim.spsa import spsa, spsa_gradient

Array = jax.Array
_Transform: TypeAlias = optax.GradientTransformationExtraArgs


class SweptState(NamedTuple):
    """State of a rule some of whose hyper-parameters differ between replicas."""

    hyperparams: Mapping[str, Array]
    """Values by path, such as {"lr": 1e-3}."""
    inner: Any


def build(config: Optim, steps: int, steps_per_epoch: int, swept: Sequence[str] = ()) -> _Transform:
    """The transform for a training run of `steps` steps.

    Args:
      config: which rule, and its hyper-parameters.
      steps: length of training.
      steps_per_epoch: what a warm-up is measured in.
      swept: paths in jaxnets.config.TRACED. These hyper-parameters become part of the transform's state, so that each
        replica can have its own (see `with_hyperparams`); until they are set they have the config's values.

    Its `update` takes optax's extra arguments `value_fn` and `key`, which SPSA needs.
    """
    values = {path: field_at(config, path) for path in TRACED}
    if not swept:
        return _trained_part(config, _rule(config, values, steps, steps_per_epoch))

    def rule(hyperparams: Mapping[str, Array]) -> _Transform:
        return _trained_part(config, _rule(config, {**values, **hyperparams}, steps, steps_per_epoch))

    def init(params: Any) -> SweptState:
        hyperparams = {path: jnp.asarray(values[path], jnp.float32) for path in swept}
        return SweptState(hyperparams, rule(hyperparams).init(params))

    def update(updates: Any, state: SweptState, params: Any = None, **extra_args: Any) -> tuple[Any, SweptState]:
        updates, inner = rule(state.hyperparams).update(updates, state.inner, params, **extra_args)
        return updates, SweptState(state.hyperparams, inner)

    return optax.GradientTransformationExtraArgs(init, update)


def with_hyperparams(state: Any, hyperparams: Mapping[str, Array]) -> Any:
    """The optimizer state with other values of the swept hyper-parameters; the state itself where there are none."""
    return state._replace(hyperparams=dict(hyperparams)) if hyperparams else state


def head(params: Mapping[str, Any]) -> Any:
    """The parameters of a model's last layer, "head". Raises UserError for a model that has none."""
    if "head" not in params:
        raise UserError(f"optim.trainable head needs a model with a layer called head; this one has {', '.join(params)}")
    return params["head"]


def only_head(rule: optax.GradientTransformation) -> _Transform:
    """The rule for the layer "head" alone; all other parameters stay as they are.

    The rule sees nothing but that layer: its penalty, its norms, its state and SPSA's perturbations.
    """
    rule = optax.with_extra_args_support(rule)

    def update(
        updates: Any, state: Any, params: Any, value_fn: Callable[[Any], Array] | None = None, **extra_args: Any
    ) -> Any:
        if value_fn is not None:
            extra_args["value_fn"] = lambda head_params: value_fn({**params, "head": head_params})
        head_updates, state = rule.update(head(updates), state, head(params), **extra_args)
        return {**jax.tree.map(jnp.zeros_like, params), "head": head_updates}, state

    return optax.GradientTransformationExtraArgs(lambda params: rule.init(head(params)), update)


def _trained_part(config: Optim, rule: _Transform) -> _Transform:
    return only_head(rule) if config.trainable == "head" else rule


def _rule(config: Optim, values: Mapping[str, Any], steps: int, steps_per_epoch: int) -> _Transform:
    rate = learning_rate(config, values["lr"], steps, steps_per_epoch)
    if config.name == "spsa":
        a, big_a, c, alpha, gamma = (values[f"spsa.{name}"] for name in ("a", "big_a", "c", "alpha", "gamma"))
        if config.spsa.rule == "adam":
            estimate = spsa_gradient(c=c, gamma=gamma, num_perturbations=config.spsa.num_perturbations)
            return optax.chain(estimate, optax.adam(rate))
        return spsa(a=a, big_a=big_a, c=c, alpha=alpha, gamma=gamma, num_perturbations=config.spsa.num_perturbations)
    momentum = values["momentum"] if _is_on(values["momentum"]) else None
    rule = {
        "sgd": lambda: optax.sgd(rate, momentum),
        "adam": lambda: optax.adam(rate),
        "adamw": lambda: optax.adamw(rate, weight_decay=values["weight_decay"]),
        "rmsprop": lambda: optax.rmsprop(rate, decay=0.99, eps=1e-8, eps_in_sqrt=False, momentum=momentum),
    }[config.name]()
    # The L2 penalty's gradient joins the loss's before the rule sees it; after the rule it would have the wrong sign.
    penalized = config.name != "adamw" and _is_on(values["weight_decay"])
    decay = [optax.add_decayed_weights(values["weight_decay"])] if penalized else []
    # Among replicas that differ, 0 still means no clipping.
    max_norm = jnp.where(values["clip"] > 0, values["clip"], jnp.inf)
    clip = [optax.clip_by_global_norm(max_norm)] if _is_on(values["clip"]) else []
    return optax.with_extra_args_support(optax.chain(*clip, *decay, rule))


def _is_on(value: Any) -> bool:
    """Whether a value asks for its transform: arrays always do, since they differ between replicas."""
    return not isinstance(value, int | float) or value != 0
