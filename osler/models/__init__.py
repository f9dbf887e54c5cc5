"""Networks by name: plain modules, one architecture a file."""

import sys
from types import ModuleType

from torch import nn

from osler.models import cifar_resnet, recurrent, resnet, squeezenet, vgg
from osler.models.alexnet import AlexNet
from osler.models.bag_of_embeddings import BagOfEmbeddings
from osler.models.conv1d import TemporalConvNet
from osler.models.conv_recurrent import ConvRecurrent
from osler.models.convnet import ConvNet
from osler.models.dlinear import DLinear, NLinear
from osler.models.efficientnet import EfficientNetB0
from osler.models.fcn import FCN
from osler.models.googlenet import GoogLeNet
from osler.models.gpt import GPT
from osler.models.inception_v3 import InceptionV3
from osler.models.lenet5 import LeNet5
from osler.models.linear import Linear
from osler.models.lstm_lm import LSTMLanguageModel
from osler.models.mlp import MLP
from osler.models.mobilenet_v1 import MobileNetV1
from osler.models.mobilenet_v2 import MobileNetV2
from osler.models.mobilenet_v3 import MobileNetV3Small
from osler.models.perceptron import Perceptron
from osler.models.seq2seq import Seq2Seq
from osler.models.textcnn import TextCNN
from osler.models.transformer import Transformer
from osler.models.translator import Translator
from osler.models.unet import UNet
from osler.models.zfnet import ZFNet
from osler.registry import Registry

MODELS: Registry[nn.Module] = Registry(
    "model",
    {
        "linear": Linear,
        "perceptron": Perceptron,
        "mlp": MLP,
        "lenet5": LeNet5,
        "convnet": ConvNet,
        "alexnet": AlexNet,
        "zfnet": ZFNet,
        "vgg11": vgg.vgg11,
        "vgg11_bn": vgg.vgg11_bn,
        "vgg13": vgg.vgg13,
        "vgg13_bn": vgg.vgg13_bn,
        "vgg16": vgg.vgg16,
        "vgg16_bn": vgg.vgg16_bn,
        "vgg19": vgg.vgg19,
        "vgg19_bn": vgg.vgg19_bn,
        "googlenet": GoogLeNet,
        "inception_v3": InceptionV3,
        "resnet18": resnet.resnet18,
        "resnet34": resnet.resnet34,
        "resnet50": resnet.resnet50,
        "resnet101": resnet.resnet101,
        "resnet152": resnet.resnet152,
        "resnet20": cifar_resnet.resnet20,
        "resnet32": cifar_resnet.resnet32,
        "resnet44": cifar_resnet.resnet44,
        "resnet56": cifar_resnet.resnet56,
        "resnet110": cifar_resnet.resnet110,
        "squeezenet1_0": squeezenet.squeezenet1_0,
        "squeezenet1_1": squeezenet.squeezenet1_1,
        "mobilenet_v1": MobileNetV1,
        "mobilenet_v2": MobileNetV2,
        "mobilenet_v3_small": MobileNetV3Small,
        "efficientnet_b0": EfficientNetB0,
        "unet": UNet,
        "conv_recurrent": ConvRecurrent,
        "elman": recurrent.elman,
        "lstm": recurrent.lstm,
        "gru": recurrent.gru,
        "bag_of_embeddings": BagOfEmbeddings,
        "textcnn": TextCNN,
        "fcn": FCN,
        "conv1d": TemporalConvNet,
        "dlinear": DLinear,
        "nlinear": NLinear,
        "transformer": Transformer,
        "gpt": GPT,
        "lstm_lm": LSTMLanguageModel,
        "seq2seq": Seq2Seq,
        "translator": Translator,
    },
    aliases={
        "lenet": "lenet5",
        "lenet_5": "lenet5",
        "cnn": "convnet",
        "crnn": "conv_recurrent",
        "deep_speech_2": "conv_recurrent",
        "squeezenet": "squeezenet1_0",
        "inception_v1": "googlenet",
        "mobilenet": "mobilenet_v1",
        "dense": "mlp",
        "multilayer_perceptron": "mlp",
        "logistic_regression": "linear",
        "linear_regression": "linear",
        "softmax_regression": "linear",
        "rnn": "elman",
        "fasttext": "bag_of_embeddings",
        "text_cnn": "textcnn",
        "tcn": "conv1d",
        "language_model": "gpt",
        "recurrent_language_model": "lstm_lm",
    },
)

__all__ = ["MODELS"]


class _Models(ModuleType):
    """This package, which can be called too: `osler.models()` gives the names, `osler.models.mlp` is a file."""

    def __call__(self) -> list[str]:
        """The names of all networks."""
        return sorted(MODELS)


sys.modules[__name__].__class__ = _Models
