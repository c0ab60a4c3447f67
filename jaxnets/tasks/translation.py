"""Translation of sentences (report S4 §6.12)."""

import dataclasses
import difflib
import functools
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from jaxnets.config import Experiment
from jaxnets.data import pairs, text
from jaxnets.data.store import Dataset
from jaxnets.errors import UserError, extra
from jaxnets.pipeline import loaders
from jaxnets.pipeline.loaders import Arrays, Loader
from jaxnets.tasks import decode
from jaxnets.tasks.classification import label_metrics
from jaxnets.tasks.metrics import PERPLEXITY
from jaxnets.tasks.task import GeneratedSamples, Objective, PredictorBase, Task, check_batch_size, check_fields, eval_loader

Array = jax.Array

_SHOWN = 12


def build(experiment: Experiment, dataset: Dataset) -> Task:
    """Batches of sentence pairs as words: "source" [N, S], "before" and "target" [N, T], and their lengths [N]."""
    config: Any = experiment.data
    check_fields(experiment, dataset, "source", "target", "source_length", "target_length")
    check_batch_size(experiment, dataset)
    source, target = (dataset.splits["train"][side].shape[1] for side in ("source", "target"))

    def gather(arrays: Arrays, indices: Array, key: Any) -> Mapping[str, Array]:
        batch = {field: array[indices] for field, array in arrays.items()}
        start = jnp.full((*indices.shape, 1), pairs.START_NUMBER)
        return {**batch, "before": jnp.concatenate([start, batch["target"][:, :-1]], axis=1)}

    by_word = functools.partial(loaders.with_sequence_mask, lengths="target_length", max_length=target)
    by_sentence = eval_loader(experiment, dataset, gather)
    train_loader = by_word(loaders.train_batches(config.batch_size, dataset.examples("train"), gather))
    if config.teacher_forcing != (1.0, 1.0):
        epochs = -(-experiment.total_steps(train_loader.steps) // train_loader.steps)
        train_loader = _with_teacher_forcing(train_loader, config.teacher_forcing, epochs)
    return Task(
        objective=objective(),
        sizes={f"{side}_vocab_size": len(dataset.meta[f"{side}_tokens"]) for side in ("source", "target")},
        sample_inputs=(jnp.zeros((1, source), jnp.int32), jnp.ones(1, jnp.int32), jnp.zeros((1, target), jnp.int32)),
        arrays=dataset.splits,
        train_loader=train_loader,
        eval_loader=lambda split: by_word(by_sentence(split)),
        examples_per_step=config.batch_size,
        generate=functools.partial(_generate, experiment, dataset),
        check_packages=_sacrebleu,
    )


def objective() -> Objective:
    """The next word: batches of "source", "source_length", "before" (the word before each target), "target" and "mask" [N,
    T].
    """
    return Objective(
        inputs=lambda batch: (batch["source"], batch["source_length"], batch["before"], batch.get("teacher_forcing")),
        metrics=lambda logits, batch: label_metrics(logits, batch["target"], batch["mask"]),
        monitor="loss",
        higher_is_better=False,
        derived=PERPLEXITY,
    )


def _with_teacher_forcing(loader: Loader, shares: tuple[float, float], epochs: int) -> Loader:
    """Adds "teacher_forcing", the epoch's share of true words, to every batch."""

    def epoch_indices(key: Any, epoch: Any) -> Any:
        share = shares[0] + (shares[1] - shares[0]) * jnp.clip(epoch / max(1, epochs - 1), 0, 1)
        return loader.epoch_indices(key, epoch), jnp.full(loader.steps, share, jnp.float32)

    def make_batch(arrays: Arrays, indices: Any, key: Any) -> Mapping[str, Array]:
        return {**loader.make_batch(arrays, indices[0], key), "teacher_forcing": indices[1]}

    return Loader(loader.steps, epoch_indices, make_batch)


@dataclasses.dataclass(frozen=True)
class Predictor(PredictorBase):
    """Translates sentences."""

    command: ClassVar[str] = "translate"

    def __call__(self, sentences: Sequence[str], beam_width: int = 1) -> list[str]:
        """The same as `translate`."""
        return self.translate(sentences, beam_width)

    def translate(self, sentences: Sequence[str], beam_width: int = 1) -> list[str]:
        """Translations of sentences: greedy, or for `beam_width` > 1 the best that a beam finds.

        Raises UserError for an empty sentence, one longer than the training data has, and words that are not in it.
        """
        vocabulary = text.Vocabulary(tuple(self.meta["source_tokens"]))
        spell_out = text.spell_out if self.meta.get("spelled_out") else str
        encoded = [_encode(vocabulary, spell_out(sentence), _max_length(self.meta)) for sentence in sentences]
        return self.translate_tokens(*text.pad(encoded, max(map(len, encoded)), np.int32), beam_width)

    def translate_tokens(self, source: np.ndarray, lengths: np.ndarray, beam_width: int = 1) -> list[str]:
        """The same for encoded sentences [N, S] and their lengths [N]."""
        vocabulary = text.Vocabulary(tuple(self.meta["target_tokens"]))
        arrays = self.variables, jnp.asarray(source), jnp.asarray(lengths)
        length = _max_length(self.meta) + 1
        outputs = _greedy(self.model, *arrays, length) if beam_width == 1 else _beam(self.model, *arrays, length, beam_width)
        return [" ".join(vocabulary.decode(row)) for row in np.asarray(outputs)]


def _max_length(meta: Mapping[str, Any]) -> int:
    """Words and marks of the longest sentence."""
    return meta.get("max_length", pairs.MAX_TOKENS)


def _encode(vocabulary: text.Vocabulary, sentence: str, max_length: int) -> list[int]:
    # An empty token stems from a character at the edge that is no letter. Some training data have it, some do not.
    tokens = [token for token in pairs.normalize(sentence).split(" ") if token or token in vocabulary.numbers]
    if not "".join(tokens):
        raise UserError(f"{sentence!r} has no words to translate")
    if len(tokens) > max_length:
        raise UserError(f"{sentence!r} has {len(tokens)} words and marks; the net was trained on at most {max_length}")
    for token in tokens:
        if token not in vocabulary.numbers:
            near = difflib.get_close_matches(token, vocabulary.tokens, n=3)
            hint = f"; it knows {', '.join(near)}" if near else ""
            raise UserError(f"the word {token!r} is not among the {len(vocabulary.tokens):,} that the net has seen{hint}")
    return vocabulary.encode((*tokens, text.END), "the sentence")


@functools.partial(jax.jit, static_argnums=(0, 4))
def _greedy(model: Any, variables: Any, source: Array, lengths: Array, length: int) -> Array:
    encoded = model.apply(variables, source, lengths, train=False, method="encode")
    step = functools.partial(_step, model, variables, encoded)
    first = jnp.full(source.shape[:1], pairs.START_NUMBER)
    return decode.greedy(step, encoded.state, first, length)


@functools.partial(jax.jit, static_argnums=(0, 4, 5))
def _beam(model: Any, variables: Any, source: Array, lengths: Array, length: int, width: int) -> Array:
    def one(source: Array, source_length: Array) -> Array:
        repeated = jnp.broadcast_to(source, (width, *source.shape)), jnp.broadcast_to(source_length, (width,))
        encoded = model.apply(variables, *repeated, train=False, method="encode")
        step = functools.partial(_step, model, variables, encoded)
        first = jnp.asarray(pairs.START_NUMBER)
        return decode.beam(step, encoded.state, first, pairs.END_NUMBER, length, width)[0][0]

    return jax.lax.map(lambda item: one(*item), (source, lengths))


def _step(model: Any, variables: Any, encoded: Any, state: Any, word: Array) -> tuple[Array, Any]:
    logits, state = model.apply(variables, encoded, state, word.reshape(-1, 1), train=False, method="decode")
    return logits[:, 0], state


def _sacrebleu() -> Any:
    """The package that measures BLEU and chrF. Slow to import, and needed after training alone."""
    with extra("text"):
        import sacrebleu

    return sacrebleu


def _generate(experiment: Experiment, dataset: Dataset, model: Any, variables: Any, key: Array) -> GeneratedSamples:
    """Greedy translations of the held-out splits, and of as many training pairs, with BLEU and chrF."""
    del key
    sacrebleu = _sacrebleu()
    predictor = Predictor(model, variables, dataset.meta, experiment)
    source, target = (text.Vocabulary(tuple(dataset.meta[f"{side}_tokens"])) for side in ("source", "target"))
    metrics: dict[str, float] = {}
    rows: list[tuple[str, str, str, str]] = []
    for split, fields in dataset.splits.items():
        examples = dataset.examples(split)
        count = min(examples, dataset.examples("test"), experiment.eval_examples or examples)
        # For a quick look the same pairs as in the other metrics.
        chosen = np.arange(count) * examples // count if experiment.eval_examples else np.arange(count)
        translations = predictor.translate_tokens(fields["source"][chosen], fields["source_length"][chosen])
        references = [" ".join(target.decode(row)) for row in fields["target"][chosen]]
        # Both sides are tokenized already.
        metrics[f"{split}_bleu"] = sacrebleu.corpus_bleu(translations, [references], tokenize="none", force=True).score
        metrics[f"{split}_chrf"] = sacrebleu.corpus_chrf(translations, [references]).score
        shown = [
            " ".join(source.decode(row)) for row in fields["source"][chosen[: _SHOWN if split == "test" else _SHOWN // 3]]
        ]
        rows += [(split, *row) for row in zip(shown, references, translations, strict=False)]
    languages = dataset.meta.get("languages", ("French", "English"))
    return GeneratedSamples(metrics, ("split", *languages, "ours"), rows)
