"""Augmentation: small random changes that leave the label true, made on whole batches where the batch is."""

from osler.data.augment.affine import Affine, RandomResizedCrop, Rotation
from osler.data.augment.augmentation import Augmentation, Geometric
from osler.data.augment.augmentations import AUGMENTATIONS, Compose, MovingMasks, from_names
from osler.data.augment.blur import Blur, Noise
from osler.data.augment.colour import ColourJitter
from osler.data.augment.erase import Cutout, RandomErasing
from osler.data.augment.flip import AlternatingFlip, Flip
from osler.data.augment.mix import CutMix, Mix, Mixing, Mixup
from osler.data.augment.randaugment import RandAugment
from osler.data.augment.shift import Shift
from osler.data.augment.spec_augment import SpecAugment

__all__ = [
    "AUGMENTATIONS",
    "Affine",
    "AlternatingFlip",
    "Augmentation",
    "Blur",
    "ColourJitter",
    "Compose",
    "CutMix",
    "Cutout",
    "Flip",
    "Geometric",
    "Mix",
    "Mixing",
    "Mixup",
    "MovingMasks",
    "Noise",
    "RandAugment",
    "RandomErasing",
    "RandomResizedCrop",
    "Rotation",
    "Shift",
    "SpecAugment",
    "from_names",
]
