"""Gradients by finite differences in every parameter, each from the layer on that it belongs to."""

import math
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from jax import lax

from jaxnets.nn.layers import Conv, Dense
from jaxnets.optim.low_rank import require_real
from jaxnets.optim.spsa import ABOVE_0, Schedule, SpsaState, check, loss_of, perturbation_size

Array = jax.Array
Path = tuple[str, ...]


class Call(NamedTuple):
    """What a linear layer did when the loss was evaluated."""

    module: nn.Module
    params: Mapping[str, Array]
    x: Array
    """Its input [N, ..., F]."""
    y: Array
    """Its output [N, ..., C]."""


Layer = Callable[[Array], Array]
"""From a layer's input to its output."""


class _Reached(Exception):  # noqa: N818  # Not an error.
    """Ends an evaluation at the layer whose input was wanted."""


def layerwise_gradient(
    c: float | Schedule = 0.003, gamma: float = 0.0, difference: Literal["two_sided", "one_sided"] = "one_sided"
) -> optax.GradientTransformationExtraArgs:
    r"""Replaces incoming gradients by finite differences in every parameter (Kiefer and Wolfowitz), made cheap by reuse.

    Component i of the estimate is :math:`(J(\theta + c_k e_i) - J(\theta)) / c_k`, or the two-sided difference, with
    :math:`c_k = c / k^\gamma`. Nothing is differentiated. A parameter of a `Conv` or `Dense` layer changes one channel of
    the layer's output, by a multiple of what the filter's tap sees. So the layers before it are not evaluated again, the
    layer itself takes one multiplication for each of its outputs in that channel, and where only functions of one channel
    follow, such as activations and pooling, the next layer is given that channel's change alone. In products, the 62,006
    differences of a LeNet then cost about 200 forward passes. Other parameters are moved one by one.

    >>> import jax, jax.numpy as jnp, optax
    >>> from jaxnets.config.model import Init
    >>> model, x = Dense(1, Init()), jnp.array([[1.0, 2.0], [0.0, 1.0]])
    >>> loss = lambda params: jnp.mean((model.apply({"params": params}, x) - 1.0) ** 2)
    >>> params = {"kernel": jnp.array([[1.0], [1.0]]), "bias": jnp.zeros(1)}
    >>> tx = layerwise_gradient(c=1e-3)
    >>> estimate, _ = tx.update(None, tx.init(params), params, value_fn=loss)
    >>> print(jnp.round(estimate["kernel"].ravel(), 1), jnp.round(jax.grad(loss)(params)["kernel"].ravel(), 1))
    [2. 4.] [2. 4.]

    Args:
      c: size of the perturbation, above 0, or a schedule of the sizes.
      gamma: decay exponent of the perturbation's size, in [0, 1/2].
      difference: "two_sided", two evaluations of each parameter, or "one_sided", one and the middle.

    Returns:
      A transform whose `update` needs `params` and the extra argument `value_fn` or `obj_fn`, which applies a Flax model to
      these parameters, without `jax.checkpoint`. A step in which a value is not finite has the estimate 0 and is counted.

    References:
      Kiefer, J. and Wolfowitz, J. (1952), Stochastic estimation of the maximum of a regression function.
      Chen, A. et al. (2024), DeepZero: scaling up zeroth-order optimization for deep model training, ICLR.
    """
    check("c", c, *ABOVE_0)
    check("gamma", gamma, "in [0, 1/2]", lambda value: 0 <= value <= 0.5)
    check("difference", difference, "two_sided or one_sided", lambda value: value in ("two_sided", "one_sided"))
    sides = (1.0, -1.0) if difference == "two_sided" else (1.0,)

    def init(params: Any) -> SpsaState:
        return SpsaState(jnp.zeros((), jnp.int32), None, jnp.zeros((), jnp.int32))

    def update(updates: Any, state: SpsaState, params: Any = None, **extra_args: Any) -> tuple[Any, SpsaState]:
        function = loss_of("layerwise_gradient", params, extra_args)
        require_real("layerwise_gradient", params)
        count = optax.safe_increment(state.count)
        size = perturbation_size(c, gamma, count)
        middle, calls = _recorded(function, params)

        def slopes(value: Callable[[Array], Array]) -> Array:
            """Of a loss whose argument is how far a parameter is moved."""
            values = [value(side * size) for side in sides]
            return (values[0] - (values[1] if len(sides) == 2 else middle)) / (len(sides) * size)

        new = {}
        for path in calls:
            new.update(_layer_slopes(function, params, calls, path, slopes))

        def slopes_of(path: Any, leaf: Array) -> Array:
            return new[at] if (at := _names(path)) in new else _leaf_slopes(function, params, path, leaf, slopes)

        estimate = jax.tree_util.tree_map_with_path(slopes_of, params)
        ok = jnp.all(jnp.asarray([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(estimate)]))
        estimate = jax.tree.map(lambda slope, leaf: jnp.where(ok, slope, 0).astype(leaf.dtype), estimate, params)
        return estimate, SpsaState(count, None, state.refused + ~ok)

    return optax.GradientTransformationExtraArgs(init, update)


def _names(path: Any) -> Path:
    return tuple(str(getattr(key, "key", key)) for key in path)


def _recorded(function: Callable[[Any], Array], params: Any) -> tuple[Array, dict[Path, Call]]:
    """The loss, and the calls of linear layers in their order: of those that are called once, with `params`."""
    calls: dict[Path, Call] = {}
    repeated = set()

    def record(call: Any, args: Any, kwargs: Any, context: Any) -> Any:
        y, path = call(*args, **kwargs), context.module.path
        if isinstance(context.module, Conv | Dense) and context.method_name == "__call__":
            if jnp.finfo(y.dtype).bits < 32:
                raise ValueError(
                    f"layerwise_gradient: {y.dtype} has too few bits for the loss's small differences; use float32"
                )
            if path in calls:
                repeated.add(path)
            calls[path] = Call(context.module, _params_of(params, path), args[0], y)
        return y

    with nn.intercept_methods(record):
        value = function(params)
    return value, {path: call for path, call in calls.items() if path not in repeated and call.params}


def _params_of(params: Any, path: Path) -> Mapping[str, Array]:
    """A layer's parameters; none if they are not among those to estimate, as where a part of a model is trained."""
    for name in path:
        params = params.get(name) if isinstance(params, Mapping) else None
    return params if isinstance(params, Mapping) and "kernel" in params else {}


def _with_layers(function: Callable[[Any], Array], params: Any, layers: Mapping[Path, Layer]) -> Array:
    """The loss, with functions from input to output in place of some layers."""

    def replace(call: Any, args: Any, kwargs: Any, context: Any) -> Any:
        layer = layers.get(context.module.path)
        return layer(args[0]) if layer else call(*args, **kwargs)

    with nn.intercept_methods(replace):
        return function(params)


def _always(output: Array) -> Layer:
    return lambda x: output


def _layer_slopes(
    function: Callable[[Any], Array],
    params: Any,
    calls: dict[Path, Call],
    path: Path,
    slopes: Callable[[Callable[[Array], Array]], Array],
) -> dict[Path, Array]:
    """The differences in a layer's parameters, by their paths."""
    module, own, x, y = calls[path]
    order = list(calls)
    before, after = order[: order.index(path)], order[order.index(path) + 1 :]
    following = after[0] if after and _is_channelwise(function, params, calls, path, after[0]) else None
    *taps, channels = own["kernel"].shape
    inputs = math.prod(taps)
    # What each tap of the filters sees, [N, ..., taps], by filters that pick one.
    seen = _linear(module, x, jnp.eye(inputs, dtype=x.dtype).reshape(*taps, inputs))
    if "bias" in own:
        seen = jnp.concatenate([seen, jnp.ones_like(seen[..., :1])], -1)
    seen = jnp.moveaxis(seen, -1, 0)
    unused = {at: _always(calls[at].y) for at in before}  # They lead to nothing but the layer's input.

    def of_channel(j: Array) -> Array:
        unmoved = lax.dynamic_index_in_dim(y, j, -1)

        def next_layer(part: Array) -> Array:
            """Of its input the part that this channel makes."""
            module, own, x, y = calls[after[0]]
            return y + _linear(module, part - _of_channel(x, channels, j), _rows(own["kernel"], channels, j))

        def value(tap: Array, move: Array) -> Array:
            moved = unmoved + move.astype(y.dtype) * tap[..., None]
            if following is None:
                layers = {path: _always(lax.dynamic_update_slice_in_dim(y, moved, j, -1))}
            else:
                layers = {path: _always(moved), following: next_layer}
            return _with_layers(function, params, {**unused, **layers})

        return jax.vmap(lambda tap: slopes(lambda move: value(tap, move)))(seen)

    all_slopes = lax.map(of_channel, jnp.arange(channels)).T  # [taps (and bias), channels]
    new = {(*path, "kernel"): all_slopes[:inputs].reshape(*taps, channels)}
    return new | ({(*path, "bias"): all_slopes[inputs]} if "bias" in own else {})


def _leaf_slopes(
    function: Callable[[Any], Array], params: Any, path: Any, leaf: Array, slopes: Callable[..., Array]
) -> Array:
    """The differences in the parameters of one leaf; vmap evaluates again only what depends on it."""

    def moved(i: Array, move: Array) -> Any:
        change = jnp.zeros(leaf.size, leaf.dtype).at[i].set(move.astype(leaf.dtype)).reshape(leaf.shape)
        return jax.tree_util.tree_map_with_path(lambda at, other: other + change if at == path else other, params)

    if not leaf.size:
        return leaf
    indices = jnp.arange(leaf.size)
    values = lax.map(lambda i: slopes(lambda move: function(moved(i, move))), indices, batch_size=min(leaf.size, 256))
    return values.reshape(leaf.shape)


def _is_channelwise(function: Callable[[Any], Array], params: Any, calls: dict[Path, Call], path: Path, after: Path) -> bool:
    """Whether each channel of a layer's output alone makes its part of the next one's input, tried on numbers, and no more.

    It is not where dropout draws for all channels at once, where a BatchNorm has parameters for each, or where another
    branch joins or leaves.
    """
    like, recorded = calls[path].y, {at: _always(call.y) for at, call in calls.items()}
    channels = like.shape[-1]

    def stop(x: Array) -> Array:
        raise _Reached(x)

    def next_input(output: Array) -> Any:
        try:
            _with_layers(function, params, {**recorded, path: _always(output), after: stop})
        except _Reached as reached:
            return reached.args[0]
        return None

    def past_next(output: Array) -> Array:
        return _with_layers(function, params, {path: _always(output), after: recorded[after]})

    try:
        # Refused for a result that depends on what is mapped over.
        jax.eval_shape(jax.vmap(past_next, out_axes=None), jnp.broadcast_to(like, (2, *like.shape)))
    except ValueError:
        return False
    with jax.ensure_compile_time_eval():
        sample = jax.random.normal(jax.random.key(0), (2, *like.shape[1:]), like.dtype)
        try:
            whole = next_input(sample)
            parts = [next_input(sample[..., j : j + 1]) for j in range(channels)]
            pieces = [_of_channel(whole, channels, jnp.asarray(j)) for j in range(channels)]
            return all(bool(jnp.array_equal(part, piece)) for part, piece in zip(parts, pieces, strict=True))
        except Exception:  # Shapes that do not fit, or what is no number yet, such as another branch's output.
            return False


def _of_channel(x: Array, channels: int, j: Array) -> Array:
    """The features [..., F / channels] that channel j of the layer before has become; they vary slowest."""
    return lax.dynamic_index_in_dim(x.reshape(*x.shape[:-1], -1, channels), j, -1, keepdims=False)


def _rows(kernel: Array, channels: int, j: Array) -> Array:
    """The rows [..., F / channels, C] of a kernel [..., F, C] that these features meet."""
    *taps, _, features = kernel.shape
    return lax.dynamic_index_in_dim(kernel.reshape(*taps, -1, channels, features), j, -2, keepdims=False)


def _linear(module: Any, x: Array, kernel: Array) -> Array:
    """The layer's map without bias, of another number of inputs or outputs."""
    features = kernel.shape[-1]
    unbound = module.clone(parent=None, name=None, features=features)
    params = {"kernel": kernel.astype(x.dtype), "bias": jnp.zeros(features, x.dtype)}
    return unbound.apply({"params": params if getattr(module, "bias", True) else {"kernel": params["kernel"]}}, x)
