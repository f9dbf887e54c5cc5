"""Osler as it is when nothing is asked of it."""

from __future__ import annotations

from dataclasses import asdict

import torch

from benchmarks.worker import Contest, Trained, judged
from benchmarks.workloads import scaled
from osler.data.batches import Batches, Dataset
from osler.optim import OPTIMIZERS
from osler.training.engine import Engine
from osler.training.trainer import Trainer

LONG = 1000  # epochs planned, so that measuring is worth it; training stops earlier


def make_osler(contest: Contest, engine: Engine) -> tuple[Trainer, Batches]:
    workload, inputs, targets = contest.workload, contest.inputs, contest.targets
    data = Dataset(inputs, scaled(inputs) if targets is None else targets)
    trainer = Trainer(
        contest.model,
        workload.loss(),
        optimizer=OPTIMIZERS.create("adam", contest.model.parameters(), lr=workload.lr),
        callbacks=[lambda trainer: _after_epoch(trainer, contest)],
        engine=engine,
    )
    return trainer, Batches(data, workload.batch_size, shuffle=True, transform=scaled)


def _after_epoch(trainer: Trainer, contest: Contest) -> None:
    contest.pace()
    if trainer.epoch == contest.epochs:
        trainer.stop("enough measured")


def train(contest: Contest) -> Trained:
    """On as many threads as everyone else."""
    return _train(contest, Engine(threads=contest.threads))


def train_on_own_threads(contest: Contest) -> Trained:
    return _train(contest, Engine())


def _train(contest: Contest, engine: Engine) -> Trained:
    torch.manual_seed(0)
    trainer, batches = make_osler(contest, engine)
    trainer.fit(batches, epochs=LONG)
    chosen = {k: v for k, v in asdict(trainer.engine).items() if v and (k, v) != ("micro_batches", 1)}
    return judged(contest, ", ".join(f"{name}={value}" for name, value in chosen.items()))
