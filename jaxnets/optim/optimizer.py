"""Update rules from their configs, with torch.optim's conventions so that reported rates mean the same."""

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import optax

from jaxnets import registry
from jaxnets.config import TRACED, Optim, field_at, validate_optim
from jaxnets.config.optim import UPDATE_RULES
from jaxnets.errors import UserError, first_line
from jaxnets.optim.average import AverageState, with_average
from jaxnets.optim.directions import NAMED
from jaxnets.optim.gains import gain, scale_by_calibrated_gain
from jaxnets.optim.guards import BlockingState, blocking
from jaxnets.optim.layerwise import layerwise_gradient
from jaxnets.optim.schedules import learning_rate
from jaxnets.optim.second_order import scale_by_spsa_hessian
from jaxnets.optim.spsa import SpsaState, spsa_gradient

Array = jax.Array
_Transform: TypeAlias = optax.GradientTransformationExtraArgs


_WITH_MOMENTUM = ("sgd", "rmsprop")


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

    Its `update` takes optax's extra arguments: `value`, `grad` and `value_fn`, which line searches need, and SPSA's `key`.

    >>> import jax.numpy as jnp
    >>> tx = build(Optim("sgd", lr=0.5, weight_decay=0.1), steps=10, steps_per_epoch=5)  # 0.1 times the weights joins
    >>> x = jnp.array([2.0])
    >>> updates, _ = tx.update(jnp.array([1.0]), tx.init(x), x)
    >>> print(jnp.round(updates, 3))
    [-0.6]

    Raises UserError for fields with invalid values, for arguments that the rule's factory does not take, and for `swept`
    paths that it makes no use of.
    """
    validate_optim(config)
    if unused := [path for path in swept if not _has_effect(config, path)]:
        raise UserError(f"optim.{unused[0]} has no effect on {config.name}: its values would be compared in vain")
    values = {path: field_at(config, path) for path in TRACED}
    if config.args or config.name not in UPDATE_RULES:
        _check_args(config, lambda: _rule(config, values, steps, steps_per_epoch))

    def rule(hyperparams: Mapping[str, Array]) -> _Transform:
        own = {**values, **hyperparams}
        full = _rule(config, own, steps, steps_per_epoch)
        limited = full if config.trainable == "all" else only(config.trainable, full)
        return with_average(limited, own["ema"]) if _is_on(own["ema"]) else limited

    if not swept:
        return rule({})

    def init(params: Any) -> SweptState:
        hyperparams = {path: jnp.asarray(values[path], jnp.float32) for path in swept}
        return SweptState(hyperparams, rule(hyperparams).init(params))

    def update(updates: Any, state: SweptState, params: Any = None, **extra_args: Any) -> tuple[Any, SweptState]:
        updates, inner = rule(state.hyperparams).update(updates, state.inner, params, **extra_args)
        return updates, SweptState(state.hyperparams, inner)

    return optax.GradientTransformationExtraArgs(init, update)


def measure(config: Optim, steps: int, steps_per_epoch: int) -> Callable[[Any, Any, Array], dict[str, Array]]:
    """The function (gradients, state, step) -> {"gradient_norm": …, "learning_rate": …} of the step about to be taken.

    Args are those of `build`, and the state is its transform's. SPSA, which never reads a gradient, has no norm; its rate is
    a / (step + 1 + A)^alpha, which is not known here where a is calibrated.
    """

    def measured(grads: Any, state: Any, step: Array) -> dict[str, Array]:
        values = {path: field_at(config, path) for path in TRACED} | swept_values(state)
        if config.name == "spsa" and config.spsa.rule == "sgd":
            if config.spsa.calibrate:
                return {}
            rate = gain(values["spsa.a"], values["spsa.big_a"], values["spsa.alpha"])(step)
        else:
            rate = learning_rate(config, values["lr"], steps, steps_per_epoch)(step)
        rates = {"learning_rate": jnp.asarray(rate, jnp.float32)}
        norm = optax.tree.norm(trained(grads, config.trainable))
        return rates if config.name == "spsa" else {"gradient_norm": norm, **rates}

    return measured


def swept_values(state: Any) -> dict[str, Array]:
    """The hyper-parameters in the optimizer's state, by path: those in which replicas differ."""
    return dict(state.hyperparams) if isinstance(state, SweptState) else {}


def with_hyperparams(state: Any, hyperparams: Mapping[str, Array]) -> Any:
    """The optimizer state with other values of the swept hyper-parameters; the state itself where there are none."""
    return state._replace(hyperparams=dict(hyperparams)) if hyperparams else state


def averaged_weights(state: Any) -> Any:
    """The averaged weights in the optimizer's state, or None if its rule does not average."""
    state = state.inner if isinstance(state, SweptState) else state
    return state.average if isinstance(state, AverageState) else None


def refused_steps(state: Any) -> dict[str, Array]:
    """{"refused": steps of SPSA so far that met a value that is not finite, or that blocking refused}; {} of other rules."""
    counting = (SpsaState, BlockingState)
    parts = jax.tree.leaves(state, is_leaf=lambda part: isinstance(part, counting))
    counts = [part.refused for part in parts if isinstance(part, counting)]
    # Blocking also counts the steps that an estimate refused.
    return {"refused": functools.reduce(jnp.maximum, counts)} if counts else {}


def trained(params: Mapping[str, Any], part: str) -> Any:
    """The part of a model's parameters that `Optim.trainable` names: "all", the layer "head", or the "scales" of
    normalization layers. Raises UserError for a model that has none.

    >>> params = {"Conv_0": {"kernel": 1.0}, "BatchNorm_0": {"scale": 2.0, "bias": 3.0}, "head": {"kernel": 4.0}}
    >>> trained(params, "head"), trained(params, "scales")
    ({'kernel': 4.0}, {'BatchNorm_0': {'scale': 2.0}})
    """
    if part == "all":
        return params
    if not (found := params.get("head") if part == "head" else _scales(params)):
        layer = "a layer called head" if part == "head" else "normalization layers"
        raise UserError(f"optim.trainable {part} needs a model with {layer}; this one has {', '.join(params)}")
    return found


def _scales(params: Mapping[str, Any]) -> dict[str, Any]:
    """The leaves called "scale", under the names above them."""
    inner = {name: _scales(child) if isinstance(child, Mapping) else child for name, child in params.items()}
    return {name: child for name, child in inner.items() if (child if isinstance(child, Mapping) else name == "scale")}


def _merged(params: Mapping[str, Any], changed: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters, with other values for a part of them."""
    value = lambda name, old: _merged(old, changed[name]) if isinstance(old, Mapping) else changed[name]
    return {name: value(name, old) if name in changed else old for name, old in params.items()}


def only(part: str, rule: optax.GradientTransformation) -> _Transform:
    """The rule for a part of the parameters alone (see `trained`); all others stay as they are.

    The rule sees nothing but that part: its penalty, its norms, its state and SPSA's perturbations.
    """
    rule = optax.with_extra_args_support(rule)
    own = lambda params: trained(params, part)
    whole = lambda params, values: _merged(params, {"head": values} if part == "head" else values)

    def update(
        updates: Any, state: Any, params: Any, value_fn: Callable[[Any], Array] | None = None, **extra_args: Any
    ) -> Any:
        if value_fn is not None:
            extra_args["value_fn"] = lambda values, key=None: value_fn(whole(params, values))
        if "grad" in extra_args:
            extra_args["grad"] = own(extra_args["grad"])
        steps, state = rule.update(own(updates), state, own(params), **extra_args)
        return whole(jax.tree.map(jnp.zeros_like, params), steps), state

    return optax.GradientTransformationExtraArgs(lambda params: rule.init(own(params)), update)


def _rule(config: Optim, values: Mapping[str, Any], steps: int, steps_per_epoch: int) -> _Transform:
    """The rule, with gradients clipped before it, and with another rate for biases."""
    # Among replicas that differ, 0 still means no clipping.
    max_norm = jnp.where(values["clip"] > 0, values["clip"], jnp.inf)
    clip = [optax.clip_by_global_norm(max_norm)] if _is_on(values["clip"]) else []
    rule = _penalized(config, values, steps, steps_per_epoch)
    if config.bias_rate != 1:
        if config.name == "spsa":
            raise UserError("optim.bias_rate: spsa has one step size for all parameters")
        factor = config.bias_rate
        for_biases = {**values, "lr": values["lr"] * factor, "weight_decay": values["weight_decay"] / factor}
        rules = {"weights": rule, "biases": _penalized(config, for_biases, steps, steps_per_epoch)}
        rule = optax.partition(rules, lambda params: jax.tree.map(lambda x: "weights" if x.ndim > 1 else "biases", params))
    return optax.with_extra_args_support(optax.chain(*clip, rule))


def _penalized(config: Optim, values: Mapping[str, Any], steps: int, steps_per_epoch: int) -> _Transform:
    rate = learning_rate(config, values["lr"], steps, steps_per_epoch)
    if config.name == "spsa":
        return _spsa(config, values, rate)
    momentum = values["momentum"] if _is_on(values["momentum"]) else None
    fixed: Mapping[str, Any] = {
        "sgd": {"momentum": momentum},
        "adamw": {"weight_decay": values["weight_decay"]},
        "rmsprop": {"decay": 0.99, "eps": 1e-8, "eps_in_sqrt": False, "momentum": momentum},
    }.get(config.name, {})
    # Some of optax's factories take a number alone.
    is_constant = config.name not in UPDATE_RULES and config.schedule == "constant" and not config.warmup_epochs
    rule = _factory(config)(learning_rate=values["lr"] if is_constant else rate, **{**fixed, **config.args})
    # The L2 penalty's gradient joins the loss's before the rule sees it; after the rule it would have the wrong sign.
    penalized = config.name != "adamw" and _is_on(values["weight_decay"])
    decay = [optax.add_decayed_weights(values["weight_decay"])] if penalized else []
    return optax.with_extra_args_support(optax.chain(*decay, rule))


def _spsa(config: Optim, values: Mapping[str, Any], rate: optax.Schedule) -> _Transform:
    """SPSA: what estimates, then what makes steps of estimates and may refuse them."""
    fields = config.spsa
    a, big_a, c, alpha, gamma = (values[f"spsa.{name}"] for name in ("a", "big_a", "c", "alpha", "gamma"))
    options: Any = {
        "num_perturbations": fields.num_perturbations,
        "difference": fields.difference,
        "at_once": fields.at_once or None,
    }
    if fields.directions in NAMED:
        options["directions"] = NAMED[fields.directions]
    if fields.rule == "adam":
        rule = optax.adam(rate)
    elif fields.calibrate:
        rule = scale_by_calibrated_gain(fields.calibrate, big_a, alpha)
    else:
        length = gain(a, big_a, alpha)
        rule = optax.scale_by_schedule(lambda count: -length(count))
    if fields.trust_region:
        rule = optax.chain(rule, optax.clip_by_global_norm(fields.trust_region))
    if fields.blocking:
        rule = blocking(rule, fields.blocking)
    hessian = [] if fields.hessian == "none" else [scale_by_spsa_hessian(gamma=gamma, kind=fields.hessian)]
    if fields.directions == "layerwise":
        estimate = layerwise_gradient(c=c, gamma=gamma, difference=fields.difference)
    else:
        estimate = spsa_gradient(c=c, gamma=gamma, **options)
    return optax.chain(estimate, *hessian, rule)


def _has_effect(config: Optim, path: str) -> bool:
    """Whether the rule uses one of the TRACED hyper-parameters."""
    is_spsa = config.name == "spsa"
    if path.startswith("spsa."):
        return is_spsa
    if path == "lr":
        return not is_spsa or config.spsa.rule == "adam"
    if path == "momentum":
        return config.name in _WITH_MOMENTUM
    return path == "ema" or not is_spsa


def _is_on(value: Any) -> bool:
    """Whether a value asks for its transform: arrays always do, since they differ between replicas."""
    return not isinstance(value, int | float) or value != 0


def _factory(config: Optim) -> Callable[..., optax.GradientTransformation]:
    """The function that makes the rule. Raises UserError for a name that cannot be imported."""
    module, colon, name = config.name.rpartition(":")
    if not colon:
        module, _, name = (f"optax.{config.name}" if config.name in UPDATE_RULES else config.name).rpartition(".")
    return registry.resolve(f"{module}:{name}")


def _check_args(config: Optim, make: Callable[[], _Transform]) -> None:
    """Raises UserError for arguments that the rule's factory does not take, and for values that it cannot use."""
    if config.name == "spsa":
        raise UserError(f"optim.args.{next(iter(config.args))}: spsa has its hyper-parameters in optim.spsa")
    parameters = inspect.signature(_factory(config)).parameters
    elsewhere = {"learning_rate": "lr"}
    if config.name in UPDATE_RULES:
        elsewhere["weight_decay"] = "weight_decay"
    if config.name in _WITH_MOMENTUM:
        elsewhere["momentum"] = "momentum"
    listed = ", ".join(name for name in parameters if name not in elsewhere)
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    for name in config.args:
        if name in elsewhere:
            raise UserError(f"optim.args.{name}: set optim.{elsewhere[name]} instead")
        if name not in parameters and not takes_any:
            raise UserError(f"optim.args.{name}: {config.name} has no such parameter; its parameters are {listed}")
    if "learning_rate" not in parameters and not takes_any:
        raise UserError(f"optim.name: {config.name} takes no learning_rate; its parameters are {listed}")

    def one_step(params: Any) -> Any:
        rule = make()
        loss = lambda params, key=None: jnp.square(params["w"]).sum()
        extra_args = {"value": loss(params), "grad": params, "value_fn": loss, "key": jax.random.key(0)}
        return rule.update(params, rule.init(params), params, **extra_args)

    try:
        jax.eval_shape(one_step, {"w": jnp.zeros((2, 2))})
    except Exception as error:
        given = ", ".join(f"{name}={value!r}" for name, value in config.args.items()) or "its defaults"
        raise UserError(
            f"optim.args: {config.name} cannot work with {given} ({type(error).__name__}: {first_line(error)}); its "
            f"parameters are {listed}"
        ) from error
