"""sun/bow: bags of visual words on eight classes of scenes, without a network that learns features (report S2 Q6.1.4).

    jaxnets data prepare sun8 --manual-dir DIR      once
    jaxnets run sun/bow                             3 seeds
    jaxnets run sun/bow --data.dictionary-size 100 --data.levels 2

Stated in the report: a test accuracy of 56.5 %, against 65 % for a fine-tuned ResNet-50.
Open there, chosen here: everything else. Dense SIFT descriptors of three sizes, with the mean color appended; a dictionary
of 200 words by k-means; a spatial pyramid of three levels. Two rules classify the pyramids. "nearest" takes the class of the
training image with the largest histogram intersection, the usual rule in the course that the report was written for. "test"
is a linear classifier on the square roots of the histograms, trained by Adam with weight decay; only it depends on the seed.
Nothing was chosen by the test images. The report's one figure is listed for both rules.
Inferred: nothing.

Expected test accuracy: 83.7 ± 0.1 % by the linear classifier, 70.5 % by the nearest neighbor (60 epochs, 3 seeds, 3 minutes
on two cores of an AMD EPYC).
"""

from collections.abc import Iterator

from jaxnets.config import BagOfWordsData, Experiment, Optim
from jaxnets.config.model import Init, LinearConfig


def experiments() -> Iterator[Experiment]:
    """One experiment."""
    yield Experiment(
        id="sun/bow",
        source="S2 Q6.1.4",
        summary="spatial pyramids of visual words, a linear classifier and the nearest neighbor",
        data=BagOfWordsData(source="sun8"),
        model=LinearConfig(Init("normal", std=1e-3, bias=0.0)),
        optim=Optim("adamw", lr=0.03, weight_decay=0.03, schedule="cosine"),
        epochs=60,
        select="last",
        reported=dict(test_accuracy=56.5, test_nearest_accuracy=56.5),
    )
