"""The catalogue: what can be wrong with a training program."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Ailment:
    """One entry of the catalogue."""

    name: str  # the public identifier
    title: str
    why: str  # for students
    rank: int  # how near it is to the root of the trouble: among findings of equal severity the lowest comes first
    symptom: bool  # always a consequence of something else, where that is found as well


# name | rank | title, then why. Ranks: 0 wiring of model and loss, 10 data, 20 start, 30 loop, 40 size of steps,
# 50 course, 60 result, 70 style.
_TEXT = """
hidden-submodule | 0 | Weights that the model does not register
    parameters() finds only modules and parameters that are attributes or in ModuleList / ModuleDict; what it does
    not find is neither trained nor saved.
double-softmax | 1 | Softmax twice
    The loss applies softmax itself. Fed probabilities between 0 and 1, it sees almost equal scores: the loss
    cannot come near 0 and gradients are weak.
double-sigmoid | 1 | Sigmoid twice
    The loss applies sigmoid itself. Fed values between 0 and 1, it sees probabilities between 0.5 and 0.73 only.
softmax-single-unit | 0 | Softmax over a single unit
    Softmax makes its outputs sum to 1. One output alone is therefore always 1, whatever the input, and has no
    gradient.
softmax-wrong-axis | 1 | Softmax over the wrong axis
    Over the batch axis the samples compete with one another, so that a prediction depends on which other samples
    are in the batch.
probabilities-to-nll | 1 | NLL loss without log-probabilities
    NLLLoss takes minus the number it is given. Given probabilities instead of their logarithms it is negative,
    and its gradient fades as a class becomes likely.
logits-to-bce | 1 | Binary cross-entropy without probabilities
    Binary cross-entropy takes logarithms of p and of 1 − p: outside 0..1 they do not exist.
output-width | 0 | As many outputs as classes, not more and not fewer
    A classifier needs one score per class (or one in all for two classes): a class without an output can never be
    predicted.
missing-flatten | 0 | A dense layer on an axis it was not meant for
    A dense layer works on the last axis alone and keeps the others. Positions that should have been joined stay
    apart.
invalid-labels | 2 | Labels that the loss cannot read
    A loss expects class indices, or one-hot rows, or numbers; given another form it computes something else
    without complaint.
broadcast-loss | 1 | Predictions and targets of different shapes
    Shapes that differ are stretched to fit, so that every prediction is compared with every target; the best
    answer is then their mean.
loss-task-mismatch | 4 | A loss for another task
    Squared error treats classes as amounts, and cross-entropy treats amounts as classes; either optimises
    something that is not asked for.
output-activation-mismatch | 2 | An output activation that does not fit the loss
    The last activation decides which values can be expressed at all: ReLU has no gradient below 0, a sigmoid per
    class does not compare classes.
output-range | 2 | Targets out of reach of the output
    A bounded activation at the end (ReLU, sigmoid, tanh) can never give values beyond its bounds.
channel-order | 10 | Channels last, where channels are expected first
    A PyTorch convolution reads (N, channels, height, width). With channels last it takes rows of the picture for
    channels.
nonfinite-data | 0 | Data that are not finite numbers
    One NaN in a batch makes the loss NaN, and after the next step every weight.
integer-input | 10 | Whole numbers where a layer wants real ones
    Layers multiply by real weights and refuse integers; only embeddings take them.
unscaled-input | 12 | Inputs far from mean 0 and deviation 1
    Weights are initialised, and learning rates chosen, for inputs of about unit size. Large ones saturate units
    and make the loss far steeper in some directions than in others.
unscaled-target | 12 | Targets far from mean 0 and deviation 1
    Gradients grow with the target. A network starts near 0 and must first grow its weights to the scale of the
    target.
constant-feature | 70 | Features that never change
    A feature that is the same for every sample tells nothing.
class-imbalance | 14 | Rare classes drown
    The mean loss is dominated by the frequent classes: always guessing them is cheap.
unshuffled-data | 11 | Batches of one class after another
    A gradient step assumes that a batch stands for all data. A stretch of one class teaches the network to always
    answer it, and to forget the others.
split-mismatch | 11 | The validation part differs from the training part
    A class or a range that was never trained cannot be known. Sorted data must be shuffled before they are split.
train-test-overlap | 11 | The same rows in training and validation
    Rows that were learned by heart look like success: validation no longer says how well new rows are predicted.
preprocessing-leakage | 11 | A scaler that saw the validation part
    Statistics of rows that are held out leak into training, and their outliers set the scale of all the others.
target-leakage | 11 | A feature that gives the answer away
    A column written after the outcome is known predicts it perfectly here, and is missing where the model is
    used.
label-noise | 15 | Wrong labels
    A network first learns the pattern, then the errors by heart.
misaligned-labels | 13 | Labels that do not belong to their inputs
    When inputs and labels are shuffled apart nothing can be learned but each sample by heart.
constant-init | 20 | Weights that start equal
    Units that start equal compute the same and get the same gradient: they stay equal, and a layer has the power
    of one unit.
symmetric-init | 20 | Units that are copies of one another
    Units that start equal compute the same and get the same gradient: they stay equal, and a layer has the power
    of one unit.
init-scale | 22 | Weights that start too large or too small
    The variance of a layer's output is the variance of its weights times their number times that of its input: it
    should stay about 1 (He, Xavier).
missing-nonlinearity | 24 | No activation between two layers
    Two linear layers in a row are one linear layer: depth without a non-linearity adds nothing that can be
    computed.
parameter-not-optimized | 20 | Weights that no optimizer holds
    An optimizer changes only the tensors it was given.
frozen-head | 20 | A last layer that does not train
    A new head starts random; frozen, it stays so.
disconnected-parameter | 21 | Weights without a gradient
    What the loss does not depend on, or depends on through a cut (detach, argmax, .data), gets no gradient.
excessive-dropout | 25 | Too much dropout
    With most units switched off there is too little left to compute with.
always-on-dropout | 21 | Dropout that stays on in evaluation
    F.dropout drops units unless it is told training=self.training: predictions are then random.
dropout-before-norm | 70 | Dropout before normalisation
    Dropout changes the variance in training, and the normalisation learns statistics that do not hold in
    evaluation.
bias-before-norm | 70 | A bias that normalisation takes away
    Normalisation subtracts the mean, and the bias with it.
redundant-activation | 70 | An activation without effect
    Applied to what is already its own output it changes nothing.
missing-zero-grad | 30 | Gradients that are never cleared
    backward() adds to .grad. Without zero_grad() every step follows the sum of all gradients so far.
missing-step | 30 | Gradients that are never applied
    Only optimizer.step() changes weights.
step-before-backward | 30 | A step without fresh gradients
    A step must follow backward(), with the gradients still there.
eval-mode-training | 30 | Training in evaluation mode
    In evaluation mode dropout is off and batch norm does not learn its statistics; model.eval() holds until
    model.train() is called.
small-batch-norm | 33 | Batch norm over too few samples
    Mean and variance of two or three samples are noise, and do not match those of evaluation.
graph-growth | 32 | Graphs of old steps are kept
    A tensor that is added up or carried on with its history keeps every graph behind it alive; use .item() or
    .detach().
scheduler-misuse | 33 | A schedule stepped at the wrong time
    Most schedules count epochs; some count steps. Stepped at the other rate they end too early or never begin.
nondeterministic-workers | 33 | Workers that draw the same numbers
    Each worker is a copy, its random state too.
sum-reduced-loss | 39 | A loss that grows with the batch
    Summed over the batch, gradients and with them the effective learning rate are as many times larger as the
    batch has samples.
learning-rate-high | 40 | Learning rate too high
    Above 2 over the curvature every step overshoots more than the last.
learning-rate-low | 40 | Learning rate too low
    Weights that change by a millionth a step need millions of steps.
adam-epsilon-half | 40 | Adam's epsilon vanishes in half precision
    1e-8 is 0 in float16, so the step divides by 0.
regularization-dominates | 38 | The penalty outweighs the loss
    When most of the gradient comes from the penalty, the weights shrink whatever the data say.
nonfinite | 50 | Numbers that are not finite
    The first NaN spreads through every sum it takes part in, and with one step into every weight.
dying-relu | 52 | ReLU units that are always 0
    Where a ReLU is 0 its gradient is 0: a unit that is 0 for every sample never learns again.
exploding-gradient | 51 | Gradients that explode
    Every layer, and every time step, multiplies the gradient; by factors above 1 it grows exponentially.
vanishing-gradient | 51 | Gradients that vanish
    Every layer multiplies the gradient; by factors below 1 (at most 0.25 for a sigmoid) next to nothing arrives
    at the first layers.
saturation | 53 | Saturated units
    Far from 0 sigmoid and tanh are flat: no gradient passes.
dead-weights | 54 symptom | Weights that do not change
    No gradient, or no step, reaches them.
unchanged-parameter | 54 symptom | Weights that do not change
    No gradient, or no step, reaches them.
batch-norm-statistics | 54 | Batch norm differs between training and evaluation
    Evaluation uses running averages; they need enough batches of enough samples.
loss-diverges | 55 symptom | The loss diverges
    Each step makes it worse: too large a step, or too large a gradient.
loss-oscillates | 56 symptom | The loss oscillates
    Steps overshoot from one side of the valley to the other.
constant-output | 56 symptom | The same prediction for every input
    Without regard to the input, the best constant answer is the mean of the targets.
ignores-input | 57 symptom | Predictions that do not use the input
    The loss is the same when samples get one another's predictions.
loss-plateau | 58 symptom | The loss does not fall
    Nothing is learned: no gradient, no signal, or no capacity.
overfitting | 60 | Learned by heart
    The training loss falls while the validation loss climbs: the network stores samples instead of what they have
    in common.
underfitting | 61 symptom | Too little learned
    Even the training data are predicted worse than they could be.
too-few-epochs | 62 symptom | Stopped too early
    The loss was still falling.
too-good | 60 | Too good to be true
    Rows that were not learned from are hardly ever predicted better than those that were: usually the answer is
    among their inputs, or the parts are not alike.
miscalibrated | 65 | Confidence that is not earned
    Probabilities should match frequencies.
weak-slice | 64 symptom | A group far below the rest
    A good mean can hide a group that is always wrong.
capacity-collapse | 63 | Latent units that carry nothing
    Units that do not vary with the input are wasted.
"""


def _read(text: str) -> dict[str, Ailment]:
    entries: list[tuple[str, list[str]]] = []
    for line in text.strip().splitlines():
        if line.startswith(" "):
            entries[-1][1].append(line.strip())
        else:
            entries.append((line, []))
    found = {}
    for head, why in entries:
        name, rank, title = (part.strip() for part in head.split("|"))
        number, _, symptom = rank.partition(" ")
        found[name] = Ailment(name, title, " ".join(why), int(number), bool(symptom))
    return found


AILMENTS = _read(_TEXT)
