"""Keras on TensorFlow, with the same network and first weights, fed by tf.data from memory.

Sixteen steps an execution, as its documentation advises for small networks: up to 1.5 times as fast here.
"""

from __future__ import annotations

import os

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"

from typing import Any

import keras
import tensorflow as tf
from torch import Tensor, nn

from benchmarks.peers.keras_twin import Twin
from benchmarks.worker import Contest, Trained
from benchmarks.workloads import scaled

LOSSES: dict[type[nn.Module], Any] = {
    nn.CrossEntropyLoss: lambda: keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    nn.MSELoss: keras.losses.MeanSquaredError,
}


class Paced(keras.callbacks.Callback):
    def __init__(self, contest: Contest):
        super().__init__()
        self.pace = contest.pace

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.pace()


def as_array(values: Tensor) -> Any:
    """Pictures with their channels last, as Keras takes them."""
    return (values.permute(0, 2, 3, 1) if values.ndim == 4 else values).contiguous().numpy()


def train(contest: Contest) -> Trained:
    keras.utils.set_random_seed(0)
    workload = contest.workload
    inputs = scaled(contest.inputs)
    x = as_array(inputs)
    y = x if contest.targets is None else as_array(contest.targets)
    model = Twin(contest.model, tuple(inputs.shape[1:])).model
    optimizer = keras.optimizers.Adam(workload.lr, epsilon=1e-8)
    model.compile(optimizer=optimizer, loss=LOSSES[workload.loss](), steps_per_execution=16)
    data = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(len(x)).batch(workload.batch_size)
    model.fit(data.prefetch(tf.data.AUTOTUNE), epochs=contest.epochs, verbose=0, callbacks=[Paced(contest)])
    loss = model.evaluate(x, y, batch_size=10 * workload.batch_size, verbose=0)
    return Trained(float(loss), sum(int(tf.size(w)) for w in model.trainable_weights))
