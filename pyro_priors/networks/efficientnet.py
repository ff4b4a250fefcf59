"""EfficientNet-Lite0, whose features of an image say how like each other two sets of images are."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from pyro_priors.checks import check_count
from pyro_priors.recorded import Recorded

# Repeats, kernel, stride of the first, expansion and channels of each stage; all but stem and head of the paper's B0.
STAGES = ((1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112))
STAGES += ((4, 5, 2, 6, 192), (1, 3, 1, 6, 320))
EPSILON = 1e-3  # of the batch normalisation that the weights were trained with


class EfficientNetLite0(Recorded):
    """The layers of EfficientNet-Lite0 below its classifier: 1,280 numbers of an image, `features`.

    Images `(n, C, H, W)` in [0, 1], grey or of three colours, are resized to 224 x 224 (bicubic, antialiased) and
    shifted and scaled to (255 x - 127) / 128, as its weights were trained. In evaluation mode from the start; names of
    the layers are those of the file of weights. Fresh weights are of no use: `load_state_dict` with published ones.

    References:
        Tan and Le, "EfficientNet: Rethinking model scaling for convolutional neural networks", 2019, arXiv:1905.11946;
        the Lite variants are of the authors' code: no squeeze-and-excitation, ReLU6.

    Args:
        size: side that images are resized to.
        stages: repeats, kernel, stride, expansion and channels of each stage.
        stem, head: channels of the first and of the last layer.

    Raises:
        ValueError: a size below 1.

    Example:
        >>> small = EfficientNetLite0(size=32, stages=((1, 3, 1, 1, 2), (2, 5, 2, 6, 3)), stem=4, head=5)
        >>> small.features(torch.rand(2, 1, 28, 28)).shape
        torch.Size([2, 5])
    """

    def __init__(
        self,
        size: int = 224,
        stages: Sequence[tuple[int, int, int, int, int]] = STAGES,
        stem: int = 32,
        head: int = 1280,
    ) -> None:
        super().__init__()
        self.size = check_count("size", size)
        self._conv_stem, self._bn0 = _SameConv(3, stem, 3, 2), nn.BatchNorm2d(stem, EPSILON)
        blocks, inputs = [], stem
        for repeats, kernel, stride, expansion, channels in stages:
            for repeat in range(repeats):
                blocks.append(_Block(inputs, channels, kernel, 1 if repeat else stride, expansion))
                inputs = channels
        self._blocks = nn.ModuleList(blocks)
        self._conv_head, self._bn1 = _SameConv(inputs, head, 1), nn.BatchNorm2d(head, EPSILON)
        self.eval().to(memory_format=torch.channels_last)  # half the time on a CPU

    def features(self, x: Tensor) -> Tensor:
        """What its classifier sees of each image, the mean over places of the last layer: `(n, head)`.

        In pieces of 32 images, since the first layers take 20 MB an image.

        Raises:
            ValueError: another shape than that of grey or colour images.
        """
        if x.dim() != 4 or x.shape[1] not in (1, 3):
            raise ValueError(f"x: expected images (n, 1 or 3, height, width), got shape {tuple(x.shape)}")
        return torch.cat([self._features(part) for part in x.split(32)])

    def _features(self, x: Tensor) -> Tensor:
        x = functional.interpolate(x, (self.size, self.size), mode="bicubic", antialias=True).clamp(0, 1)
        x = ((255 * x - 127) / 128).expand(-1, 3, -1, -1).contiguous(memory_format=torch.channels_last)
        x = functional.relu6(self._bn0(self._conv_stem(x)))
        for block in self._blocks:
            x = block(x)
        return functional.relu6(self._bn1(self._conv_head(x))).mean((2, 3))


class _SameConv(nn.Conv2d):
    """A convolution without a bias, padded to ceil(side / stride), where the number is odd more at the end."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, stride, groups=groups, bias=False)

    def forward(self, input: Tensor) -> Tensor:
        kernel, stride = self.kernel_size[0], self.stride[0]
        whole = [max((-(-side // stride) - 1) * stride + kernel - side, 0) for side in input.shape[-2:]]
        rows, columns = ((total // 2, total - total // 2) for total in whole)
        return super().forward(functional.pad(input, (*columns, *rows)))

    if TYPE_CHECKING:
        __call__ = forward


class _Block(nn.Module):
    """An inverted bottleneck: expand the channels, convolve each by itself, project; with a way past where it fits."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        width = inputs * expansion
        self.skips, self.expands = stride == 1 and inputs == outputs, expansion != 1
        if self.expands:
            self._expand_conv, self._bn0 = _SameConv(inputs, width, 1), nn.BatchNorm2d(width, EPSILON)
        self._depthwise_conv = _SameConv(width, width, kernel, stride, groups=width)
        self._bn1 = nn.BatchNorm2d(width, EPSILON)
        self._project_conv, self._bn2 = _SameConv(width, outputs, 1), nn.BatchNorm2d(outputs, EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        inner = functional.relu6(self._bn0(self._expand_conv(x))) if self.expands else x
        inner = functional.relu6(self._bn1(self._depthwise_conv(inner)))
        inner = self._bn2(self._project_conv(inner))
        return x + inner if self.skips else inner

    if TYPE_CHECKING:
        __call__ = forward
