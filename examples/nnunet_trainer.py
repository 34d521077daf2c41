"""A trainer of nnU-Net v2 that adds a topological loss to its own: `nnUNetv2_train ... -tr nnUNetTrainerTopology`.

nnU-Net looks for trainers in its own folder `nnunetv2/training/nnUNetTrainer`: put a file there that imports this one.
The classes must exclude each other; training on regions would need sigmoid instead of softmax.
"""

import torch
from torch import Tensor, nn

import gpuph

try:
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
except ModuleNotFoundError:  # so that the loss can be used without nnU-Net
    nnUNetTrainer = None


class WithTopology(nn.Module):
    """The loss of nnU-Net, on all resolutions, plus a topological loss on the finest one."""

    def __init__(self, loss: nn.Module, weight: float = 0.1, ignore_index: int | None = None) -> None:
        super().__init__()
        settings = {"softmax": True, "to_onehot_y": True, "include_background": False, "ignore_index": ignore_index}
        self.loss, self.weight = loss, weight
        self.topological = gpuph.OneVsRest(gpuph.SoftClDiceLoss(iterations=3), **settings)

    def forward(self, output: Tensor | list[Tensor], target: Tensor | list[Tensor]) -> Tensor:
        finest, labels = (x[0] if isinstance(x, (list, tuple)) else x for x in (output, target))
        with torch.autocast(finest.device.type, enabled=False):
            topological = self.topological(finest.float(), labels)
        return self.loss(output, target) + self.weight * topological


if nnUNetTrainer is not None:

    class nnUNetTrainerTopology(nnUNetTrainer):
        def _build_loss(self) -> nn.Module:
            return WithTopology(super()._build_loss(), ignore_index=self.label_manager.ignore_label)
