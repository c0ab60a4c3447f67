"""Rulings on claims whose truth is known."""

import collections
import dataclasses
import math

import numpy as np
import pytest

from jaxnets import registry
from jaxnets.runs.reproduction import claims, evidence
from jaxnets.runs.reproduction.document import Claim, Comparison, Document
from tests.runs.reproduction.evidence_made import record

BN, PLAIN, SUPER = "cifar10/lenet/bn", "cifar10/lenet/plain", "cifar10/lenet/super"


def experiment(id_, **fitted):
    """A registered one, with nothing fitted but what is given."""
    return dataclasses.replace(registry.all_experiments()[id_], fitted=fitted)


def rule(records, *compare, test="welch", synthetic=False):
    """The entry of a claim."""
    known = {id_: evidence.of(experiment(id_), records, synthetic) for id_ in (BN, PLAIN, SUPER)}
    document = Document("D", "", "", (), (Claim("claim1", "", "", compare, test),))
    [entry] = claims.ledger(document, known, synthetic)
    return entry


def than(more_than=None, less_than=None, of=BN, than=PLAIN, **fields):
    return Comparison(of, "test_accuracy", than, more_than=more_than, less_than=less_than, **fields)


def seeds(mean, n=8, std=0.005):
    """Values whose mean and standard deviation are exactly these."""
    values = np.linspace(-1, 1, n)
    return list(mean + std * values / values.std(ddof=1))


def test_a_clear_difference_holds_and_its_reverse_does_not():
    runs = [record(BN, seeds(0.60)), record(PLAIN, seeds(0.58))]
    assert rule(runs, than(more_than=0)).verdict == "holds"
    assert rule(runs, than(less_than=0)).verdict == "does not hold"
    assert rule(runs, than(more_than=2)).verdict == "undecided at n = 8"
    assert rule(runs, than(more_than=1, less_than=3)).verdict == "holds"
    [ruling] = rule(runs, than(more_than=0)).rulings
    assert ruling.effect == pytest.approx(2)
    assert ruling.reported == pytest.approx(60.77 - 58.98)
    assert ruling.p < claims.ALPHA / claims.LOOKS


def test_a_claim_on_fitted_figures_says_so():
    """A gap is made of two figures; a factor fitted to one of them is enough. What is not run has nothing to say."""
    fitted = experiment(PLAIN, **{"optim.lr": ("train_accuracy",)})
    runs = [record(BN, seeds(0.60)), record(PLAIN, seeds(0.58))]
    known = {BN: evidence.of(experiment(BN), runs), PLAIN: evidence.of(fitted, runs)}
    gap = Comparison(BN, "test_accuracy", PLAIN, than_measure="train_gap", more_than=0)

    def verdict(comparison, known=known):
        [entry] = claims.ledger(Document("D", "", "", (), (Claim("claim1", "", "", (comparison,)),)), known)
        return entry.verdict, entry.to_json()["fitted"]

    assert verdict(than(more_than=0)) == ("holds", [])
    fitted = experiment(PLAIN, **{"optim.lr": ("test_accuracy",)})
    known_again = {**known, PLAIN: evidence.of(fitted, runs)}
    assert verdict(than(more_than=0), known_again) == ("holds (fitted)", [f"optim.lr of {PLAIN}"])
    assert verdict(gap) == ("not run", [f"optim.lr of {PLAIN}"])


def test_one_contradicted_comparison_refutes_the_claim_and_one_open_one_leaves_it_open():
    runs = [record(BN, seeds(0.60)), record(PLAIN, seeds(0.58)), record(SUPER, seeds(0.6001))]
    open_one, wrong, right = than(more_than=0, of=SUPER, than=BN), than(more_than=0, of=PLAIN, than=BN), than(more_than=0)
    assert rule(runs, right, open_one).decision == "undecided"
    assert rule(runs, right, open_one, wrong).decision == "does not hold"


def test_what_refutes_one_comparison_may_not_refute_a_claim_of_ten():
    """The p-value of the contradiction is 0.004: below the level of a look, above a tenth of it."""
    runs = [record(BN, seeds(0.6077)), record(PLAIN, seeds(0.60)), record(SUPER, seeds(0.9))]
    wrong, right = than(more_than=0, of=PLAIN, than=BN), than(more_than=0, of=SUPER, than=BN)
    assert rule(runs, wrong, right).decision == "does not hold"
    assert rule(runs, wrong, *[right] * 9).decision == "undecided"


def test_a_mean_is_compared_with_a_constant_and_factors_multiply():
    runs = [record(BN, seeds(0.60)), record(PLAIN, seeds(0.58))]
    assert rule(runs, than(more_than=59, than="")).verdict == "holds"
    assert rule(runs, than(less_than=0, factor=2)).verdict == "holds"
    assert rule(runs, than(less_than=0, factor=2)).rulings[0].effect == pytest.approx(60 - 116)


def test_seeds_that_share_their_order_decide_what_independent_ones_cannot():
    common = np.random.default_rng(0).normal(0, 0.02, 6)
    runs = [record(BN, list(0.603 + common + 0.0002 * np.arange(6))), record(PLAIN, list(0.6 + common))]
    assert rule(runs, than(more_than=0)).decision == "undecided"
    assert rule(runs, than(more_than=0), test="paired").decision == "holds"
    assert rule(runs, than(more_than=0), test="sign_flip").decision == "holds"


def test_only_replicas_of_the_same_number_are_paired():
    runs = [record(BN, seeds(0.6, 5)), record(PLAIN, seeds(0.6, 3)), record(PLAIN, seeds(0.1, 9), seed=7)]
    [ruling] = rule(runs, than(more_than=0), test="paired").rulings
    assert ruling.n == (3, 3)


def test_one_seed_decides_nothing_and_no_run_is_not_run():
    assert rule([record(BN, [0.9]), record(PLAIN, [0.1])], than(more_than=0)).verdict == "undecided at n = 1"
    assert rule([record(BN, seeds(0.6))], than(more_than=0)).verdict == "not run"


def test_short_runs_rule_on_nothing_but_the_start():
    runs = [record(BN, seeds(0.6), epochs=1), record(PLAIN, seeds(0.5), epochs=1)]
    assert rule(runs, than(more_than=0)).verdict == "not run"
    start = Comparison(BN, "initial_loss", PLAIN, more_than=0)
    assert rule(runs, start).verdict == "holds"


def test_a_verdict_names_only_what_it_rests_on():
    """Beside a contradicted comparison on the documented data: one of short runs, and one on other data."""
    runs = [record(BN, seeds(0.6)), record(PLAIN, seeds(0.5)), record(SUPER, seeds(0.9), epochs=1)]
    assert rule(runs, than(less_than=0), than(more_than=0, of=SUPER)).verdict == "does not hold"
    runs = [*runs[:2], record(SUPER, seeds(0.9), data__source="mnist")]
    assert rule(runs, than(less_than=0), than(more_than=0, of=SUPER)).verdict == "does not hold on mnist"


def test_other_data_are_named():
    runs = [record(BN, seeds(0.6), data__source="mnist"), record(PLAIN, seeds(0.5), data__source="mnist")]
    assert rule(runs, than(more_than=0)).verdict == "holds on mnist"
    runs = [record(BN, seeds(0.6), synthetic=True), record(PLAIN, seeds(0.5), synthetic=True)]
    assert rule(runs, than(more_than=0), synthetic=True).verdict == "holds on synthetic data"


def test_false_verdicts_of_three_looks_together_are_rarer_than_five_in_a_hundred():
    """A claim exactly at its bound, where each verdict is an error: 8, 16 and 32 seeds, looked at until a verdict."""
    rng, wrong = np.random.default_rng(3), collections.Counter()
    for _ in range(200):
        draws = 0.6 + 0.01 * rng.standard_normal((2, 32))
        runs = lambda n, draws=draws: [record(BN, list(draws[0, :n])), record(PLAIN, list(draws[1, :n]))]
        decisions = (rule(runs(n), than(more_than=0)).decision for n in (8, 16, 32))
        wrong[next((decision for decision in decisions if decision != "undecided"), "undecided")] += 1
    limit = 0.05 + 3 * math.sqrt(0.05 * 0.95 / 200)
    assert wrong["holds"] / 200 < limit
    assert wrong["does not hold"] / 200 < limit


def test_the_json_of_an_entry_has_no_infinity():
    entry = rule([record(BN, [0.9]), record(PLAIN, [0.1])], than(more_than=0)).to_json()
    [comparison] = entry["comparisons"]
    assert comparison["interval"] == [None, None]
    assert comparison["hypothesis"] == f"0 < test accuracy of {BN} − test accuracy of {PLAIN}"
