"""The PyTorch contenders of bench_step.py: eager in channels_last, and the same with the model compiled.

The images wait on the device as uint8, and batches are cropped and mirrored there, all images at once: no loader, no
worker processes, no Pillow, so what is timed is the update and not the reading.
"""

from collections.abc import Iterator

import numpy as np
import torch  # type: ignore[import-not-found]
import torch.nn.functional as F  # type: ignore[import-not-found]
from torch import nn


def _conv(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    conv = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
    nn.init.kaiming_normal_(conv.weight)
    return conv


class Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.norm1 = _conv(inputs, outputs, stride), nn.BatchNorm2d(outputs)
        self.conv2, self.norm2 = _conv(outputs, outputs), nn.BatchNorm2d(outputs)
        self.stride, self.grown = stride, outputs - inputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = F.relu(self.norm1(self.conv1(x)))
        y = self.norm2(self.conv2(y))
        if self.grown:  # option A: every second pixel, and zeros for the new channels
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.grown))
        return F.relu(x + y)


class ResNet(nn.Module):
    def __init__(self, blocks: int, classes: int, channels: int) -> None:
        super().__init__()
        widths = [16] * blocks + [32] * blocks + [64] * blocks
        inputs = [16, *widths[:-1]]
        self.conv, self.norm = _conv(channels, 16), nn.BatchNorm2d(16)
        self.body = nn.Sequential(*(Block(a, b, b // a) for a, b in zip(inputs, widths, strict=True)))
        self.head = nn.Linear(64, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.body(F.relu(self.norm(self.conv(x))))
        return self.head(x.mean((2, 3)))


def batches(
    images: torch.Tensor, labels: torch.Tensor, *, batch_size: int, pad: int, flip: bool
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Shuffled each epoch, the rest dropped; each image padded with zeros, cropped and mirrored at random."""
    device, (height, width) = images.device, images.shape[1:3]
    every = torch.arange(batch_size, device=device)
    while True:
        order = torch.randperm(len(images), device=device)
        for first in range(0, len(images) - batch_size + 1, batch_size):
            rows = order[first : first + batch_size]
            padded = F.pad(images[rows], (0, 0, pad, pad, pad, pad))
            crops = padded.unfold(1, height, 1).unfold(2, width, 1)  # image, top, left, channel, height, width
            tops, lefts = torch.randint(0, 2 * pad + 1, (2, batch_size), device=device)
            batch = crops[every, tops, lefts]
            if flip:
                mirrored = torch.rand(batch_size, device=device) < 0.5
                batch = torch.where(mirrored[:, None, None, None], batch.flip(3), batch)
            yield batch, labels[rows]


def contender(
    images: np.ndarray,
    labels: np.ndarray,
    *,
    compiled: bool,
    blocks: int,
    classes: int,
    mean: list[float],
    std: list[float],
    batch_size: int,
    total_steps: int,
    peak_value: float,
    momentum: float,
    weight_decay: float,
    pad: int,
    flip: bool,
    seed: int,
) -> tuple[int, Iterator[torch.Tensor]]:
    """The number of parameters, and an iterator that makes one update per item and yields its loss."""
    torch.manual_seed(seed)
    torch.backends.cudnn.benchmark = True  # for batches of one shape
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = ResNet(blocks, classes, images.shape[-1]).to(device, memory_format=torch.channels_last)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    run = torch.compile(model) if compiled else model
    optimizer = torch.optim.SGD(model.parameters(), lr=peak_value, momentum=momentum, weight_decay=weight_decay)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, peak_value, total_steps, cycle_momentum=False)
    pixels, classes_of = torch.from_numpy(images).to(device), torch.from_numpy(labels).long().to(device)
    statistics = (torch.tensor(values, device=device)[:, None, None] for values in (mean, std))

    def losses(centre: torch.Tensor, scale: torch.Tensor) -> Iterator[torch.Tensor]:
        model.train()
        feed = batches(pixels, classes_of, batch_size=batch_size, pad=pad, flip=flip)
        for _ in range(total_steps):
            batch, target = next(feed)
            x = ((batch.float() / 255 - centre) / scale).contiguous(memory_format=torch.channels_last)
            optimizer.zero_grad(set_to_none=True)
            logits = run(x)
            loss = F.cross_entropy(logits, target)
            loss.backward()
            optimizer.step()
            scheduler.step()
            yield loss.detach()

    return parameters, losses(*statistics)
