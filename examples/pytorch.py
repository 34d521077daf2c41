"""Delineate roads: a network regresses distance maps, with the loss of the paper beside the mean squared error."""

import torch
from torch import nn
from torch.nn.functional import mse_loss

import gpuph
from examples.drawn import lines
from gpuph.metrics import betti_error, ccq

TRUNCATION = 10.0


def main(steps: int = 30) -> dict[str, float]:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 16, 5, padding=2), nn.ReLU(), nn.Conv2d(16, 1, 5, padding=2))
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    topological = gpuph.LocalizedPHLoss(window=64, reduction="image")  # the scale that 0.01 fits
    for step in range(steps):
        images, labels = lines(4, seed=step)
        target = gpuph.truncated_distance_map(labels > 0, TRUNCATION)
        pred = network(images)
        loss = mse_loss(pred, target) + 0.01 * topological(pred, target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    images, labels = lines(4, seed=steps)
    with torch.no_grad():
        roads = network(images) < 2.0  # pixels that are closer than that to a centre line
    return {"quality": ccq(roads, labels > 0).quality, "Betti error": float(betti_error(roads, labels > 0))}


if __name__ == "__main__":
    print(main())
