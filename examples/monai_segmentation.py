"""Segment several classes with MONAI: its network, Dice loss and metric, and gpuph's beside them."""

import torch
from monai.losses import DiceLoss
from monai.metrics import DiceMetric
from monai.networks.nets import BasicUNet
from monai.networks.utils import one_hot

from examples.drawn import lines
from gpuph.interop.monai import BettiErrorMetric, LikelihoodPHLoss


def main(steps: int = 10) -> dict[str, float]:
    torch.manual_seed(0)
    network = BasicUNet(spatial_dims=2, in_channels=1, out_channels=3, features=(8, 8, 16, 16, 16, 8))
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    settings = {"include_background": False, "to_onehot_y": True, "softmax": True}
    dice, topological = DiceLoss(**settings), LikelihoodPHLoss(**settings, dims=(0, 1))
    for step in range(steps):
        images, labels = lines(4, seed=step)
        logits = network(images)
        loss = dice(logits, labels) + 0.01 * topological(logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    metrics = {"Dice": DiceMetric(include_background=False), "Betti error": BettiErrorMetric(include_background=False)}
    network.eval()
    for batch in range(2):
        images, labels = lines(4, seed=steps + batch)
        with torch.no_grad():
            found = network(images).argmax(dim=1, keepdim=True)
        for metric in metrics.values():
            metric(y_pred=one_hot(found, 3), y=one_hot(labels, 3))
    return {name: metric.aggregate().item() for name, metric in metrics.items()}


if __name__ == "__main__":
    print(main())
