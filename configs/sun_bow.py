"""sun/bow: bags of visual words on eight classes of scenes, without a net to find the features (report S2 Q6.1.4).

    jaxnets data prepare sun8 --manual-dir DIR      once
    jaxnets run sun/bow                             3 seeds, one to three minutes on two cores
    jaxnets run sun/bow --data.words 100 --data.levels 2

Stated in the report: 56.5 % on the test images, beside 65 % for a fine-tuned ResNet-50.
Open there, chosen here: all else. Dense SIFT descriptors of three sizes with the mean color beside them, 200 words by
k-means, a spatial pyramid of three levels. Two rules read the pyramids: "nearest" takes the class of the training image with
the largest histogram intersection, which is how such pyramids are customarily read in the course that the report was written
for; "test" is a linear classifier's on their square roots, trained by Adam with decay, of which the seeds are. Nothing was
chosen by the test images. The report's one figure stands beside both.
"""

from collections.abc import Iterator

from jaxnets.config import BagOfWordsData, Experiment, Optim
from jaxnets.config.model import Init, LinearConfig


def experiments() -> Iterator[Experiment]:
    """One experiment."""
    yield Experiment(
        "sun/bow",
        "S2 Q6.1.4",
        "spatial pyramids of visual words, a linear classifier and the nearest neighbor",
        BagOfWordsData("sun8"),
        LinearConfig(Init("normal", std=1e-3, bias=0.0)),
        Optim("adamw", lr=0.03, weight_decay=0.03, schedule="cosine"),
        epochs=60,
        select="last",
        reported={"test_accuracy": 56.5, "test_nearest_accuracy": 56.5},
    )
