"""Twins of LeNet, the tutorial net and the small CNN, written as the reports print them."""

from torch import nn

from jaxnets.model_config import LeNetConfig, ModelConfig, SmallCnnConfig, TutorialNetConfig

_ACTIVATIONS = {"tanh": nn.Tanh, "leaky_relu": lambda: nn.LeakyReLU(0.01)}


def lenet(config: LeNetConfig, classes: int) -> nn.Module:
    """The printed summaries of report S4, figures 1 to 6."""

    def finish(width: int, dropout: float, norm: type[nn.Module]) -> list[nn.Module]:
        layers = [_ACTIVATIONS[config.activation]()]
        if config.batch_norm:
            layers.append(norm(width))
        return [*layers, nn.Dropout(dropout)]

    first, second = config.dropout_conv
    layers = [
        nn.Dropout(config.dropout_input),
        nn.Conv2d(3, 6, 5),
        *finish(6, first, nn.BatchNorm2d),
        nn.AvgPool2d(2),
        nn.Conv2d(6, 16, 5),
        *finish(16, second, nn.BatchNorm2d),
        nn.AvgPool2d(2),
        nn.Flatten(),
    ]
    width = 400
    for wanted in config.dense:
        layers += [nn.Linear(width, wanted), *finish(wanted, config.dropout_dense, nn.BatchNorm1d)]
        width = wanted
    return nn.Sequential(*layers, nn.Linear(width, classes))


def tutorial_net(config: TutorialNetConfig, classes: int) -> nn.Module:
    """Report S0 §1."""
    return nn.Sequential(
        *(nn.Conv2d(3, 6, 5), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, classes)),
    )


def small_cnn(config: SmallCnnConfig, classes: int) -> nn.Module:
    """Report S1 Q1."""
    layers, width = [], 3
    for filters, kernel in zip(config.filters, (5, 5, 3), strict=True):
        layers += [nn.Conv2d(width, filters, kernel, padding=2), nn.BatchNorm2d(filters), nn.ReLU(), nn.MaxPool2d(3, 2)]
        width = filters
    return nn.Sequential(
        *layers, nn.Flatten(), nn.Linear(16 * width, config.dense), nn.ReLU(), nn.Linear(config.dense, classes)
    )


_TWINS = {LeNetConfig: lenet, TutorialNetConfig: tutorial_net, SmallCnnConfig: small_cnn}


def build(config: ModelConfig, classes: int) -> nn.Module:
    """The twin of jaxnets.models.build(config, classes)."""
    return _TWINS[type(config)](config, classes)
