"""The Keras network that does what a torch network of the workloads does, with the same weights."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import torch
from keras import layers
from torch import nn

from benchmarks.workloads import GPT, Block, LastStep, Residual


class Places(layers.Layer):
    """Adds a learned vector to every place of a sequence."""

    def __init__(self, shape: tuple[int, int]):
        super().__init__()
        self.table = self.add_weight(shape=shape)

    def call(self, x: Any) -> Any:
        return x + self.table


class Twin:
    """`model` is built by walking through the torch network; pictures have their channels last.

    Where torch pads a strided convolution evenly, Keras's "same" pads behind: the same work, shifted by a pixel.
    """

    def __init__(self, network: nn.Module, shape: tuple[int, ...]):
        self.pairs: list[tuple[Any, list[Any]]] = []  # a layer and its weights
        self.flattened: tuple[int, ...] | None = None  # (C, H, W) of what the next linear layer sees as a row
        places = shape[:1] if isinstance(network, GPT) else None
        channels_last = (*shape[1:], shape[0]) if len(shape) == 3 else shape
        inputs = keras.Input(places or channels_last, dtype="int32" if places else "float32")
        self.model = keras.Model(inputs, self.through(network, inputs))
        for layer, weights in self.pairs:
            layer.set_weights(weights)

    def keep(self, layer: Any, *weights: torch.Tensor | None) -> Any:
        self.pairs.append((layer, [w.detach().numpy() for w in weights if w is not None]))
        return layer

    def through(self, module: nn.Module, x: Any) -> Any:
        return getattr(self, type(module).__name__)(module, x)

    def Sequential(self, module: nn.Sequential, x: Any) -> Any:
        for part in module:
            x = self.through(part, x)
        return x

    def Linear(self, module: nn.Linear, x: Any) -> Any:
        weight = module.weight
        if self.flattened:
            c, h, w = self.flattened
            weight = weight.view(-1, c, h, w).permute(0, 2, 3, 1).reshape(len(weight), -1)
            self.flattened = None
        return self.keep(layers.Dense(module.out_features), weight.T, module.bias)(x)

    def Conv2d(self, module: nn.Conv2d, x: Any) -> Any:
        padding = "same" if module.padding[0] else "valid"
        layer = layers.Conv2D(
            module.out_channels, module.kernel_size, module.stride, padding, use_bias=module.bias is not None
        )
        return self.keep(layer, module.weight.permute(2, 3, 1, 0), module.bias)(x)

    def ConvTranspose2d(self, module: nn.ConvTranspose2d, x: Any) -> Any:
        layer = layers.Conv2DTranspose(module.out_channels, module.kernel_size, module.stride, "same")
        return self.keep(layer, module.weight.permute(2, 3, 1, 0), module.bias)(x)

    def BatchNorm2d(self, module: nn.BatchNorm2d, x: Any) -> Any:
        layer = layers.BatchNormalization(momentum=0.9, epsilon=module.eps)
        return self.keep(layer, module.weight, module.bias, module.running_mean, module.running_var)(x)

    def LayerNorm(self, module: nn.LayerNorm, x: Any) -> Any:
        return self.keep(layers.LayerNormalization(epsilon=module.eps), module.weight, module.bias)(x)

    def Embedding(self, module: nn.Embedding, x: Any) -> Any:
        return self.keep(layers.Embedding(module.num_embeddings, module.embedding_dim), module.weight)(x)

    def ReLU(self, module: nn.ReLU, x: Any) -> Any:
        return layers.ReLU()(x)

    def Tanh(self, module: nn.Tanh, x: Any) -> Any:
        return layers.Activation("tanh")(x)

    def Sigmoid(self, module: nn.Sigmoid, x: Any) -> Any:
        return layers.Activation("sigmoid")(x)

    def GELU(self, module: nn.GELU, x: Any) -> Any:
        return layers.Activation(lambda v: keras.activations.gelu(v, approximate=True))(x)

    def AvgPool2d(self, module: nn.AvgPool2d, x: Any) -> Any:
        return layers.AveragePooling2D(module.kernel_size)(x)

    def AdaptiveAvgPool2d(self, module: nn.AdaptiveAvgPool2d, x: Any) -> Any:
        return layers.GlobalAveragePooling2D(keepdims=True)(x)

    def Flatten(self, module: nn.Flatten, x: Any) -> Any:
        _, h, w, c = x.shape
        self.flattened = (c, h, w)
        return layers.Flatten()(x)

    def Unflatten(self, module: nn.Unflatten, x: Any) -> Any:
        c, h, w = module.unflattened_size
        layer, (weight, bias) = self.pairs[-1]  # of the linear layer before
        order = np.arange(c * h * w).reshape(c, h, w).transpose(1, 2, 0).reshape(-1)
        self.pairs[-1] = (layer, [weight[:, order], bias[order]])
        return layers.Reshape((h, w, c))(x)

    def LastStep(self, module: LastStep, x: Any) -> Any:
        lstm = module.lstm
        weights = (lstm.weight_ih_l0.T, lstm.weight_hh_l0.T, lstm.bias_ih_l0 + lstm.bias_hh_l0)
        return self.through(module.head, self.keep(layers.LSTM(lstm.hidden_size), *weights)(x))

    def Residual(self, module: Residual, x: Any) -> Any:
        y = layers.ReLU()(self.through(module.first_norm, self.through(module.first, x)))
        y = self.through(module.second_norm, self.through(module.second, y))
        return layers.ReLU()(layers.Add()([y, self.through(module.shortcut, x)]))

    def Block(self, module: Block, x: Any) -> Any:
        width, heads = module.mix.in_features, module.heads
        parts = module.qkv.weight.view(3, heads, -1, width).permute(0, 3, 1, 2)  # each (width, heads, head size)
        biases = module.qkv.bias.view(3, heads, -1)
        weights = [tensor for pair in zip(parts, biases, strict=True) for tensor in pair]
        mix = module.mix.weight.T.reshape(heads, -1, width)
        layer = layers.MultiHeadAttention(heads, width // heads)
        normal = self.through(module.attention_norm, x)
        query, key, value = (weights[i : i + 2] for i in (0, 2, 4))
        # Keras keeps query, key, value, output in this order.
        attended = self.keep(layer, *query, *key, *value, mix, module.mix.bias)
        x = layers.Add()([x, attended(normal, normal, use_causal_mask=True)])
        return layers.Add()([x, self.through(module.mlp, self.through(module.mlp_norm, x))])

    def GPT(self, module: GPT, x: Any) -> Any:
        x = self.through(module.characters, x)
        x = self.keep(Places(x.shape[1:]), module.places.weight)(x)
        return self.through(module.head, self.through(module.norm, self.through(module.blocks, x)))
