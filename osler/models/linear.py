"""One linear layer: linear, logistic and softmax regression."""

import math

from torch import Tensor, nn


class Linear(nn.Module):
    """A weighted sum of the inputs for each output: linear regression, or logistic and softmax regression by its loss.

    ŷ = W·x + b, with x the flattened sample, W (outputs, entries) and b (outputs,). The outputs are logits: binary
    cross-entropy makes it logistic regression, cross-entropy softmax regression.

    Shapes: (N, *inputs) -> (N, outputs). Parameters: entries · outputs + outputs.
    Source: Legendre, Nouvelles méthodes pour la détermination des orbites des comètes (1805); Cox, The regression
    analysis of binary sequences (1958).

        >>> Linear(inputs=(1, 28, 28), outputs=10)(torch.zeros(2, 1, 28, 28)).shape
        torch.Size([2, 10])
    """

    def __init__(self, inputs: tuple[int, ...], outputs: int):
        super().__init__()
        self.linear = nn.Linear(math.prod(inputs), outputs)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.linear(x.flatten(1))
        return logits
