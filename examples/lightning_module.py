"""Train on logits of one class in Lightning, with a metric over the epoch."""

import lightning
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.utils.data import DataLoader, TensorDataset

import gpuph
from examples.drawn import lines
from gpuph.metrics.modules import BettiErrorMetric


class Roads(lightning.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.network = nn.Sequential(nn.Conv2d(1, 16, 5, padding=2), nn.ReLU(), nn.Conv2d(16, 1, 5, padding=2))
        self.topological, self.betti = gpuph.LikelihoodPHLoss(), BettiErrorMetric()

    def training_step(self, batch: list[torch.Tensor], _: int) -> torch.Tensor:
        logits, mask = self.network(batch[0]), batch[1] > 0
        return binary_cross_entropy_with_logits(logits, mask.float()) + 0.01 * self.topological(logits.sigmoid(), mask)

    def validation_step(self, batch: list[torch.Tensor], _: int) -> None:
        self.betti.update(self.network(batch[0]) > 0, batch[1] > 0)
        self.log("Betti error", self.betti, on_epoch=True)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=1e-2)


def main(**settings: object) -> float:
    training, validation = (DataLoader(TensorDataset(*lines(8, seed=seed)), batch_size=4) for seed in (0, 1))
    trainer = lightning.Trainer(max_epochs=2, logger=False, enable_checkpointing=False, **settings)
    trainer.fit(Roads(), training, validation)
    return float(trainer.callback_metrics["Betti error"])


if __name__ == "__main__":
    print(main())
