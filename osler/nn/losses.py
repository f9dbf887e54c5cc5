"""Loss functions by name."""

from osler.nn.classification_losses import BinaryCrossEntropy, CategoricalCrossEntropy, SparseCategoricalCrossEntropy
from osler.nn.distribution_losses import CTC, CosineSimilarity, KLDivergence
from osler.nn.focal_loss import Focal
from osler.nn.loss import Loss
from osler.nn.margin_losses import Exponential, Hinge, Perceptron, SquaredHinge
from osler.nn.regression_losses import (
    HalfMeanSquaredError,
    Huber,
    LogCosh,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    PseudoHuber,
    Quantile,
)
from osler.nn.segmentation_losses import Dice, DiceCrossEntropy
from osler.registry import Registry

LOSSES: Registry[Loss] = Registry(
    "loss",
    {
        "mse": MeanSquaredError,
        "half_mse": HalfMeanSquaredError,
        "mae": MeanAbsoluteError,
        "mape": MeanAbsolutePercentageError,
        "huber": Huber,
        "pseudo_huber": PseudoHuber,
        "log_cosh": LogCosh,
        "quantile": Quantile,
        "binary_cross_entropy": BinaryCrossEntropy,
        "categorical_cross_entropy": CategoricalCrossEntropy,
        "sparse_categorical_cross_entropy": SparseCategoricalCrossEntropy,
        "focal": Focal,
        "hinge": Hinge,
        "squared_hinge": SquaredHinge,
        "exponential": Exponential,
        "perceptron": Perceptron,
        "kl_divergence": KLDivergence,
        "cosine_similarity": CosineSimilarity,
        "ctc": CTC,
        "dice": Dice,
        "dice_cross_entropy": DiceCrossEntropy,
    },
    aliases={
        "l2": "mse",
        "mean_squared_error": "mse",
        "quadratic": "half_mse",
        "half_mean_squared_error": "half_mse",
        "l1": "mae",
        "mean_absolute_error": "mae",
        "mean_absolute_percentage_error": "mape",
        "charbonnier": "pseudo_huber",
        "logcosh": "log_cosh",
        "pinball": "quantile",
        "bce": "binary_cross_entropy",
        "binary_crossentropy": "binary_cross_entropy",
        "log_loss": "binary_cross_entropy",
        "cce": "categorical_cross_entropy",
        "categorical_crossentropy": "categorical_cross_entropy",
        "scce": "sparse_categorical_cross_entropy",
        "sparse_categorical_crossentropy": "sparse_categorical_cross_entropy",
        "cross_entropy": "sparse_categorical_cross_entropy",
        "focal_loss": "focal",
        "adaboost": "exponential",
        "kl": "kl_divergence",
        "kld": "kl_divergence",
        "kullback_leibler": "kl_divergence",
        "cosine": "cosine_similarity",
        "soft_dice": "dice",
        "dice_ce": "dice_cross_entropy",
    },
)
