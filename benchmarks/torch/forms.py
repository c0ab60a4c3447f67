"""PyTorch's training step in several forms, the fastest ones known here."""

import contextlib
import itertools
import os
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import nn

from benchmarks import contention
from benchmarks.harness import Candidate
from benchmarks.torch import twins
from benchmarks.torch.twins import Tensors, Twin
from benchmarks.workloads import PreparedWorkload
from jaxnets.config import Optim


class Form(NamedTuple):
    """How a step is executed."""

    fused: bool = True
    """The optimizer's fused kernel for all parameters, and channels-last memory for images."""
    compile: str | None = None
    """Mode of torch.compile; None: eager."""
    graph: bool = False
    """The whole step, optimizer included, recorded as one CUDA graph."""
    packed: bool = False
    """Recurrent layers over packed sequences."""


FORMS = {
    "torch eager": Form(fused=False),
    "torch fused": Form(),
    "torch compile": Form(compile="default"),
    "torch packed": Form(packed=True),
    "torch reduce-overhead": Form(compile="reduce-overhead"),
    "torch cuda graph": Form(graph=True),
}
_GPU_ONLY = ("torch reduce-overhead", "torch cuda graph")


def prepare_device(device: str) -> None:
    """Gives PyTorch as many threads as XLA has, and TF32 products on GPUs, as XLA uses them by default."""
    if device == "cpu":
        torch.set_num_threads(len(contention.affinity()))
    else:
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.benchmark = True


def candidates(workload: PreparedWorkload, device: str) -> dict[str, Candidate]:
    """The forms that make sense for a workload on "cpu" or "cuda", by name."""
    prepare_device(device)
    # All workloads share the compiled code. After eight recompilations torch.compile would fall back to eager mode.
    torch.compiler.reset()
    names = [name for name in FORMS if device != "cpu" or name not in _GPU_ONLY]
    if not _can_pack(workload):
        names.remove("torch packed")
    return {name: _candidate(workload, FORMS[name], device) for name in names}


def _can_pack(workload: PreparedWorkload) -> bool:
    """Whether the twin can read both packed sequences and padded ones."""
    module = twins.build(workload).module
    return hasattr(module, "packed") and not module.packed


def _candidate(workload: PreparedWorkload, form: Form, device: str) -> Candidate:
    """Builds the step in its first run, so that a form that fails is left out and none holds memory before its turn."""
    functions: list[Any] = []
    """What `train_step` returns; empty before the first run."""

    def run(steps: int) -> None:
        if not functions:
            twin = twins.build(workload, device)
            if form.packed:
                twin.module.packed = True
            functions.extend(train_step(twin, workload.experiment.optim, form))
        for _ in range(steps):
            functions[0]()
        wait(device)

    return Candidate(run, peak_bytes=lambda: peak_bytes(*functions, device))


def wait(device: str) -> None:
    """Waits until the device has finished all its work."""
    if device != "cpu":
        torch.cuda.synchronize()


def train_step(twin: Twin, config: Optim, form: Form) -> tuple[Callable[[], Any], Callable[[], int]]:
    """(function that makes one update by the twin's batch, function that returns the bytes in use between updates)."""
    batch = twin.batch
    if form.fused:
        twin.module.to(memory_format=torch.channels_last)
        batch = {k: x.to(memory_format=torch.channels_last) if x.ndim == 4 else x for k, x in batch.items()}
    rule = optimizer(config, list(twin.module.parameters()), form.fused, form.graph)
    update = updater(twin, rule, config.clip, form)
    step = lambda: update(batch)

    def resident_bytes() -> int:
        moments = [x for values in rule.state.values() for x in values.values() if isinstance(x, torch.Tensor)]
        return sum(x.nbytes for x in (*twin.module.parameters(), *twin.module.buffers(), *batch.values(), *moments))

    return (_recorded(step) if form.graph else step), resident_bytes


def updater(twin: Twin, rule: torch.optim.Optimizer, clip: float, form: Form) -> Callable[[Tensors], torch.Tensor]:
    """The function (batch) -> loss that makes one update. Gradients are clipped at norm `clip`, unless that is 0."""
    loss_of = torch.compile(twin.loss, mode=form.compile) if form.compile else twin.loss
    state: list[Any] = [None]

    def update(batch: Tensors) -> torch.Tensor:
        if form.compile == "reduce-overhead":
            torch.compiler.cudagraph_mark_step_begin()
        rule.zero_grad()
        loss, after = loss_of(batch, state[0])
        # CUDA graphs overwrite the results of a step in the next one.
        state[0] = _copied(after) if form.compile == "reduce-overhead" else after
        loss.backward()
        if clip:
            nn.utils.clip_grad_norm_(twin.module.parameters(), clip, foreach=True)
        rule.step()
        return loss

    return update


def _copied(state: Any) -> Any:
    if isinstance(state, tuple):
        return tuple(x.clone() for x in state)
    return state if state is None else state.clone()


def optimizer(config: Optim, parameters: list[nn.Parameter], fused: bool, capturable: bool = False) -> torch.optim.Optimizer:
    """The equivalent of jaxnets.optim.optimizer.build at a constant rate. RMSProp has no fused form.

    Raises ValueError for an optimizer that PyTorch does not have.
    """
    adam = {"lr": config.lr, "weight_decay": config.weight_decay, "fused": fused or None, "capturable": capturable}
    match config.name:
        case "adam":
            return torch.optim.Adam(parameters, **adam)
        case "adamw":
            return torch.optim.AdamW(parameters, **adam)
        case "sgd":
            plain = {"lr": config.lr, "weight_decay": config.weight_decay, "momentum": config.momentum}
            return torch.optim.SGD(parameters, fused=fused or None, **plain)
        case "rmsprop":
            plain = {"lr": config.lr, "weight_decay": config.weight_decay, "momentum": config.momentum}
            return torch.optim.RMSprop(parameters, alpha=0.99, capturable=capturable, **plain)
    raise ValueError(f"PyTorch has no {config.name}")


def _recorded(step: Callable[[], None]) -> Callable[[], None]:
    """The step recorded as a CUDA graph. The state of a language model lives inside the recording."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):  # What the optimizer and cuDNN set up first must not be recorded.
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


def peak_bytes(step: Callable[[], Any], resident_bytes: Callable[[], int], device: str) -> int:
    """Peak memory of a step by PyTorch's allocator, in bytes.

    Args:
      step: makes one update.
      resident_bytes: the memory in use between updates.
      device: "cpu" or "cuda".
    """
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats()
        step()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated()
    with (
        _silenced(),
        torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile,
    ):
        step()
    events = [event for event in profile.profiler.kineto_results.events() if event.name() == "[memory]"]
    changes = [event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())]
    return resident_bytes() + max(itertools.accumulate(changes), default=0)


@contextlib.contextmanager
def _silenced() -> Iterator[None]:
    """Hides the profiler's log, which it writes to file descriptor 2 and not to sys.stderr."""
    stderr, devnull = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(devnull)
