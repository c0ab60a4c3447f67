"""A recurrent net that reads images row by row (report S3 Q3)."""

from torch import Tensor, nn

from jaxnets.export.pytorch.sequence import recurrent


class RowRNN(nn.Module):
    """Images [N, C, H, W], of the size `image` (C, H, W) -> logits [N, classes]. The last row's output is classified."""

    def __init__(self, image: tuple[int, int, int], classes: int, cell: str, hidden: int) -> None:
        super().__init__()
        channels, _, width = image
        self.rnn = recurrent(cell, width * channels, hidden)
        self.fc = nn.Linear(hidden, classes)

    def forward(self, images: Tensor) -> Tensor:
        outputs, _ = self.rnn(images.permute(0, 2, 3, 1).flatten(2))
        return self.fc(outputs[:, -1])
