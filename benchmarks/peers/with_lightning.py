"""Lightning, as its documentation shows it: fused Adam; progress bar, checkpoints and logging off."""

from __future__ import annotations

import logging
import warnings
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer, seed_everything
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.worker import Contest, Trained, judged
from benchmarks.workloads import scaled


class Learner(LightningModule):
    def __init__(self, contest: Contest):
        super().__init__()
        self.model = contest.model
        self.criterion = contest.workload.loss()
        self.lr = contest.workload.lr

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        inputs, targets = batch
        loss: Tensor = self.criterion(self.model(inputs), targets)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=self.lr, fused=True)


class Paced(Callback):
    def __init__(self, contest: Contest):
        self.pace = contest.pace

    def on_train_epoch_end(self, *_: Any) -> None:
        self.pace()


def train(contest: Contest) -> Trained:
    warnings.simplefilter("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    seed_everything(0, verbose=False)
    x = scaled(contest.inputs)
    y = x if contest.targets is None else contest.targets
    trainer = Trainer(
        max_epochs=contest.epochs,
        accelerator="cpu",
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[Paced(contest)],
    )
    trainer.fit(Learner(contest), DataLoader(TensorDataset(x, y), batch_size=contest.workload.batch_size, shuffle=True))
    return judged(contest)
