"""The Markdown of a document."""

import dataclasses

from jaxnets.analysis.document import markdown
from jaxnets.runs.reproduction import claims, document, evidence
from jaxnets.runs.reproduction.document import Claim, Comparison, Document, Item, Row
from tests.runs.reproduction.evidence_made import record

BN, PLAIN = "cifar10/lenet/bn", "cifar10/lenet/plain"


def test_tables_have_reported_ours_and_verdict_and_claims_their_ruling():
    rows = (Row("LeNet", PLAIN), Row("LeNetBN", BN))
    table = Item("table1", "LeNets", "§1", "A note.", measures=("test_accuracy", "gpu_seconds", "test_loss"), rows=rows)
    costs = Item("table2", "Seconds alone", measures=("gpu_seconds",), rows=rows)
    than = Comparison(BN, "test_accuracy", PLAIN, more_than=0)
    open_claim, absent = Claim("claim1", "BN helps.", "§2", (than,)), dataclasses.replace(than, measure="test_loss")
    loaded = Document("D", "", "", (table, costs), (open_claim, Claim("claim2", "It fits.", "§2", (absent,))))
    experiments = {id_: dataclasses.replace(document.experiment(id_), fitted={}) for id_ in (BN, PLAIN)}
    runs = [record(PLAIN, [0.58, 0.59, 0.60]), record(BN, [0.6])]
    known = {id_: evidence.of(experiment, runs) for id_, experiment in experiments.items()}

    lines = markdown.text(loaded, known, claims.ledger(loaded, known)).splitlines()
    assert lines[0] == "**Table 1: LeNets** (§1). A note."
    assert lines[2:6] == [
        "| net | runs | test % | test loss |",
        "| :-- | :-- | --: | --: |",
        "| LeNet | 3 seeds | 58.98 \\| 59.00 ± 1.00 [56.52, 61.48], reproduced | – |",
        "| LeNetBN | 1 seed | 60.77 \\| 60.00, undecided | – |",
    ]
    assert not any("Seconds" in line for line in lines)
    assert lines[-2:] == [
        "| claim1 | BN helps. | undecided at n = 1 | 1 |",
        "| claim2 | It fits. | not run | – |",
    ]
