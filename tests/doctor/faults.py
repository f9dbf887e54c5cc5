"""Training programs with one fault each, in many styles, and the ailments of which the doctor must name one."""

from collections.abc import Callable
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn

import osler
from tests.doctor.programs import blobs, loop, pictures, seeded

Doctors = list[osler.Doctor]
SICK: list[tuple[Callable[[], Doctors], set[str]]] = []


def names(*ailments: str):
    def add(program: Callable[[], Doctors]):
        SICK.append((program, set(ailments)))
        return program

    return add


def classify(model, optimizer=None, loss=F.cross_entropy, data=None, epochs=8, **options):
    x, y = data if data is not None else blobs()
    optimizer = optimizer or torch.optim.Adam(model.parameters(), lr=3e-3)
    doctor = osler.Doctor(model, optimizer, loss)
    doctor.examine(train=(x, y))
    loop(model, optimizer, loss, x, y, doctor, epochs=epochs, **options)
    return [doctor]


def dense(*widths, act=nn.ReLU, end=()):
    layers: list[nn.Module] = []
    for a, b in pairwise(widths):
        layers += [nn.Linear(a, b), act()]
    return nn.Sequential(*layers[:-1], *end)


class Wrapped(nn.Module):
    """A network whose last step is a function."""

    def __init__(self, end, *widths):
        super().__init__()
        self.body, self.end = dense(*widths), end

    def forward(self, x):
        return self.end(self.body(x))


@names("double-softmax")
def softmax_by_hand():
    def end(s):
        e = torch.exp(s - s.max(dim=1, keepdim=True).values)
        return e / e.sum(dim=1, keepdim=True)

    return classify(Wrapped(end, 8, 32, 4))


@names("double-softmax")
def softmax_in_the_loss_function():
    return classify(dense(8, 32, 4), loss=lambda s, y: nn.CrossEntropyLoss()(torch.softmax(s, -1), y))


@names("double-sigmoid")
def sigmoid_of_labels():
    x = torch.randn(400, 10, generator=seeded())
    y = (x[:, :5] + x[:, 5:] > 0).float()
    return classify(Wrapped(torch.sigmoid, 10, 32, 5), loss=F.binary_cross_entropy_with_logits, data=(x, y))


@names("probabilities-to-nll")
def raw_scores_to_nll():
    return classify(dense(8, 32, 4), loss=F.nll_loss)


@names("logits-to-bce")
def scores_to_bce():
    x, y = blobs(classes=2)
    model = nn.Sequential(dense(8, 16, 1), nn.Flatten(0))
    doctor = osler.Doctor(model, torch.optim.Adam(model.parameters()), nn.BCELoss())
    doctor.examine(train=(x, y.float()))
    return [doctor]


@names("softmax-single-unit")
def softmax_of_one():
    x, y = blobs(classes=2)
    return classify(
        Wrapped(lambda s: F.softmax(s, dim=-1), 8, 16, 1), loss=F.binary_cross_entropy, data=(x, y.float()[:, None])
    )


@names("softmax-wrong-axis")
def attention_over_the_batch():
    class Pool(nn.Module):
        def __init__(self):
            super().__init__()
            self.score, self.head = nn.Linear(8, 1), nn.Linear(8, 4)

        def forward(self, x):
            weight = torch.softmax(self.score(x).squeeze(-1), dim=0)  # (N, T): over the samples
            return self.head((weight.unsqueeze(-1) * x).sum(1))

    x, y = blobs()
    return classify(Pool(), data=(x[:, None, :] + 0.3 * torch.randn(600, 6, 8, generator=seeded(5)), y))


@names("output-activation-mismatch")
def sigmoid_per_class():
    return classify(dense(8, 32, 4, end=(nn.Sigmoid(),)))


@names("output-activation-mismatch")
def relu_on_scores():
    return classify(Wrapped(F.relu, 8, 32, 4))


@names("output-activation-mismatch")
def softmax_on_labels():
    x = torch.randn(400, 10, generator=seeded())
    y = (x[:, :5] + x[:, 5:] > 0).float()
    return classify(Wrapped(lambda s: s.softmax(1), 10, 32, 5), loss=F.binary_cross_entropy, data=(x, y))


@names("output-range")
def tanh_on_large_targets():
    x = torch.randn(400, 3, generator=seeded())
    return classify(dense(3, 32, 1, end=(nn.Tanh(),)), loss=F.mse_loss, data=(x, 3 * x[:, :1]))


@names("output-range")
def sigmoid_on_standardised():
    x = torch.randn(400, 3, generator=seeded())
    return classify(Wrapped(torch.sigmoid, 3, 32, 1), loss=nn.L1Loss(), data=(x, x[:, :1]))


@names("loss-task-mismatch")
def squared_error_on_class_numbers():
    x, y = blobs(classes=5)
    return classify(dense(8, 16, 1), loss=lambda p, t: F.mse_loss(p.squeeze(1), t.float()), data=(x, y))


@names("loss-task-mismatch", "invalid-labels")
def binary_loss_on_amounts():
    x = torch.randn(300, 4, generator=seeded())
    return classify(dense(4, 16, 1), loss=F.binary_cross_entropy_with_logits, data=(x, x[:, :1] * 2))


@names("output-width", "invalid-labels")
def too_few_outputs():
    x, y = blobs(classes=6)
    model = dense(8, 16, 5)
    doctor = osler.Doctor(model, torch.optim.Adam(model.parameters()), nn.CrossEntropyLoss())
    doctor.examine(train=(x, y))
    return [doctor]


@names("invalid-labels")
def labels_from_one():
    x, y = blobs(classes=5)
    model = dense(8, 16, 5)
    doctor = osler.Doctor(model, torch.optim.Adam(model.parameters()), nn.CrossEntropyLoss())
    doctor.examine(train=(x, y + 1))
    return [doctor]


@names("invalid-labels")
def minus_one_and_one():
    x, y = blobs(classes=2)
    return classify(dense(8, 16, 1), loss=F.binary_cross_entropy_with_logits, data=(x, (2 * y - 1).float()[:, None]))


@names("broadcast-loss")
def column_against_row():
    x = torch.randn(400, 4, generator=seeded())
    return classify(dense(4, 32, 1), loss=lambda p, t: torch.mean(torch.abs(p - t)), data=(x, x[:, 0] + x[:, 1]))


@names("broadcast-loss")
def sequence_against_column():
    class Last(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn, self.out = nn.GRU(2, 16, batch_first=True), nn.Linear(16, 1)

        def forward(self, x):
            return self.out(self.rnn(x)[0])

    x = torch.randn(320, 32, 2, generator=seeded())
    return classify(Last(), loss=lambda p, t: ((p - t) ** 2).mean(), data=(x, x[:, -1, :1]), epochs=4)


@names("missing-nonlinearity")
def convolutions_without_activation():
    class Plain(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Conv2d(1, 16, 3, padding=1), nn.Conv2d(16, 16, 3, padding=1)
            self.norm, self.fc = nn.BatchNorm2d(16), nn.Linear(16 * 16, 4)

        def forward(self, x):
            return self.fc(F.avg_pool2d(self.b(self.norm(self.a(x))), 2).flatten(1))

    return classify(Plain(), data=pictures())


@names("symmetric-init", "constant-init")
def zeros_everywhere():
    model = dense(8, 32, 32, 4, act=nn.Sigmoid)
    for p in model.parameters():
        nn.init.zeros_(p)
    return classify(model)


@names("symmetric-init", "constant-init")
def ones_in_functions():
    class Ones(nn.Module):
        def __init__(self):
            super().__init__()
            self.w1, self.w2 = nn.Parameter(torch.full((8, 16), 0.1)), nn.Parameter(torch.full((16, 4), 0.1))

        def forward(self, x):
            return torch.tanh(x @ self.w1) @ self.w2

    return classify(Ones())


@names("init-scale", "learning-rate-high")
def enormous_weights():
    model = dense(8, 64, 64, 4)
    for layer in model[::2]:
        nn.init.normal_(layer.weight, std=2.0)
    return classify(model, torch.optim.SGD(model.parameters(), lr=0.01))


@names("sum-reduced-loss")
def summed():
    model = dense(8, 32, 4)
    return classify(model, torch.optim.SGD(model.parameters(), lr=0.3), loss=nn.CrossEntropyLoss(reduction="sum"))


@names("parameter-not-optimized")
def only_the_head():
    model = nn.ModuleDict({"body": dense(8, 32, 32), "head": nn.Linear(32, 4)})

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.parts = model

        def forward(self, x):
            return self.parts["head"](F.relu(self.parts["body"](x)))

    net = Net()
    return classify(net, torch.optim.Adam(model["body"].parameters(), lr=3e-3))


@names("parameter-not-optimized")
def replaced_after_the_optimizer():
    model = dense(8, 32, 4)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    model[2] = nn.Linear(32, 4)
    return classify(model, optimizer)


@names("hidden-submodule")
def layers_in_a_list():
    class Stack(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = [nn.Linear(8, 32), nn.Linear(32, 32)]
            self.head = nn.Linear(32, 4)

        def forward(self, x):
            for layer in self.layers:
                x = torch.relu(layer(x))
            return self.head(x)

    return classify(Stack())


@names("hidden-submodule")
def tensor_that_is_no_parameter():
    class Bare(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = torch.randn(8, 16).mul_(0.3).requires_grad_()
            self.head = nn.Linear(16, 4)

        def forward(self, x):
            return self.head(torch.relu(x @ self.w))

    return classify(Bare())


@names("frozen-head")
def head_frozen_by_mistake():
    model = dense(8, 32, 4)
    model[2].requires_grad_(False)
    return classify(model, torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=3e-3))


@names("disconnected-parameter")
def detached_features():
    class Cut(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.head = dense(8, 32, 32), nn.Linear(32, 4)

        def forward(self, x):
            return self.head(F.relu(self.body(x)).detach())

    return classify(Cut())


@names("disconnected-parameter")
def loss_wrapped_anew():
    model = dense(8, 32, 4)
    doctor = osler.Doctor(
        model,
        torch.optim.Adam(model.parameters()),
        lambda s, y: torch.tensor(F.cross_entropy(s, y).item(), requires_grad=True),
    )
    doctor.examine(train=blobs())
    return [doctor]


@names("learning-rate-high")
def adam_at_one():
    model = dense(8, 32, 32, 4)
    return classify(model, torch.optim.Adam(model.parameters(), lr=1.0))


@names("learning-rate-high")
def sgd_diverges():
    x = torch.randn(300, 6, generator=seeded())
    model = dense(6, 32, 1, act=nn.Tanh)
    return classify(
        model, torch.optim.SGD(model.parameters(), lr=1.5, momentum=0.9), loss=F.mse_loss, data=(x, 3 * x[:, :1])
    )


@names("learning-rate-low")
def crawling():
    model = dense(8, 32, 4)
    return classify(model, torch.optim.SGD(model.parameters(), lr=1e-6))


@names("learning-rate-low")
def crawling_adam():
    model = dense(8, 32, 4)
    return classify(model, torch.optim.Adam(model.parameters(), lr=1e-8))


@names("excessive-dropout")
def keep_probability_taken_for_drop():
    model = nn.Sequential(
        nn.Linear(8, 32), nn.ReLU(), nn.Dropout(0.9), nn.Linear(32, 32), nn.ReLU(), nn.Dropout(0.9), nn.Linear(32, 4)
    )
    return classify(model)


@names("always-on-dropout")
def dropout_made_in_forward():
    class Fresh(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(8, 64), nn.Linear(64, 4)

        def forward(self, x):
            return self.b(nn.Dropout(0.5)(torch.relu(self.a(x))))

    return classify(Fresh())


@names("missing-flatten", "broadcast-loss")
def dense_on_a_picture():
    class Forgot(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.fc = nn.Conv2d(1, 8, 3, padding=1), nn.Linear(8, 4)

        def forward(self, x):
            return self.fc(F.relu(self.conv(x)))

    model = Forgot()
    doctor = osler.Doctor(model, torch.optim.Adam(model.parameters()), nn.CrossEntropyLoss())
    doctor.examine(train=pictures())
    return [doctor]


@names("missing-flatten")
def dense_that_expects_a_flat_picture():
    model = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Linear(512, 4))
    doctor = osler.Doctor(model, torch.optim.Adam(model.parameters()), nn.CrossEntropyLoss())
    doctor.examine(train=pictures())
    return [doctor]


@names("unscaled-input")
def bytes_of_pictures():
    x, y = pictures()
    model = nn.Sequential(
        nn.Flatten(), nn.Linear(64, 32), nn.Sigmoid(), nn.Linear(32, 32), nn.Sigmoid(), nn.Linear(32, 4)
    )
    return classify(model, torch.optim.SGD(model.parameters(), lr=0.01), data=((x * 40 + 120).clamp(0, 255), y))


@names("unscaled-target", "learning-rate-high")
def prices():
    x = torch.randn(400, 5, generator=seeded())
    return classify(dense(5, 32, 1), loss=F.mse_loss, data=(x, 250_000 + 60_000 * x[:, :1]))


@names("nonfinite-data")
def missing_values():
    x, y = blobs()
    x[3, 2] = float("nan")
    return classify(dense(8, 32, 4), data=(x, y))


@names("class-imbalance")
def one_in_sixty():
    x = torch.randn(1220, 6, generator=seeded())
    y = (torch.arange(1220) >= 1200).float()
    x[1200:] += 0.9
    order = torch.randperm(1220, generator=seeded(1))
    return classify(
        nn.Sequential(dense(6, 8, 1), nn.Flatten(0)), loss=nn.BCEWithLogitsLoss(), data=(x[order], y[order])
    )


@names("unshuffled-data")
def in_the_order_of_the_file():
    x, y = blobs()
    order = y.argsort()
    x, y = x[order], y[order]
    model = dense(8, 32, 4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    doctor = osler.Doctor(model, optimizer, F.cross_entropy)
    doctor.examine(train=(x, y))
    for _ in range(5):
        for at in range(0, 600, 20):
            optimizer.zero_grad()
            value = F.cross_entropy(model(x[at : at + 20]), y[at : at + 20])
            value.backward()
            optimizer.step()
            doctor.observe(value)
    return [doctor]


@names("target-leakage")
def outcome_among_the_features():
    x = torch.randn(500, 6, generator=seeded())
    y = (x[:, 0] * x[:, 1] + x[:, 2])[:, None]
    x[:, 5] = 2 * y[:, 0] + 1
    return classify(dense(6, 32, 1), loss=F.mse_loss, data=(x, y))


@names("label-noise")
def random_third():
    x, y = blobs(classes=6, spread=0.6)
    wrong = torch.rand(600, generator=seeded(7)) < 0.4
    y = torch.where(wrong, torch.randint(0, 6, (600,), generator=seeded(8)), y)
    return classify(dense(8, 128, 6), data=(x, y), epochs=40)


@names("misaligned-labels")
def shuffled_apart():
    x, y = blobs()
    return classify(dense(8, 32, 4), data=(x, y[torch.randperm(600)]), epochs=15)


@names("channel-order")
def channels_last_adapted():
    x, y = pictures()
    x = x.permute(0, 2, 3, 1).repeat(1, 1, 1, 3)
    model = nn.Sequential(nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(16 * 24, 4))
    return classify(model, data=(x, y))


@names("channel-order")
def channels_last_refused():
    x, y = pictures()
    x = x.permute(0, 2, 3, 1).repeat(1, 1, 1, 3)
    model = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(16 * 64, 4))
    doctor = osler.Doctor(model, torch.optim.Adam(model.parameters()), F.cross_entropy)
    doctor.examine(train=(x, y))
    return [doctor]


@names("nonfinite")
def root_of_zero():
    class Norm(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(8, 32), nn.Linear(32, 4)

        def forward(self, x):
            h = self.a(x)
            return self.b(h / h.clamp(min=0).sum(1, keepdim=True).sub(5).clamp(min=0))

    return classify(Norm())


@names("dying-relu")
def negative_biases():
    model = dense(8, 32, 32, 4)
    nn.init.constant_(model[0].bias, -20.0)
    return classify(model)


@names("vanishing-gradient")
def deep_sigmoids_in_functions():
    class Deep(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList([nn.Linear(8, 16), *(nn.Linear(16, 16) for _ in range(11))])
            self.head = nn.Linear(16, 4)

        def forward(self, x):
            for layer in self.layers:
                x = F.sigmoid(layer(x))
            return self.head(x)

    return classify(Deep())


@names("saturation", "init-scale")
def saturated_tanh():
    model = dense(8, 32, 32, 4, act=nn.Tanh)
    for layer in (model[0], model[2]):
        nn.init.normal_(layer.weight, std=20.0)
    return classify(model, torch.optim.SGD(model.parameters(), lr=1e-3))


@names("missing-zero-grad")
def never_cleared():
    x, y = blobs()
    model = dense(8, 32, 4)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    doctor = osler.Doctor(model, optimizer, F.cross_entropy)
    for _ in range(5):
        for rows in torch.randperm(600).split(30):
            value = F.cross_entropy(model(x[rows]), y[rows])
            value.backward()
            optimizer.step()
            doctor.observe(value.item())
    return [doctor]


@names("step-before-backward")
def cleared_before_the_step():
    x, y = blobs()
    model = dense(8, 32, 4)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    doctor = osler.Doctor(model, optimizer, F.cross_entropy)
    for _ in range(3):
        for rows in torch.randperm(600).split(30):
            value = F.cross_entropy(model(x[rows]), y[rows])
            value.backward()
            optimizer.zero_grad()
            optimizer.step()
            doctor.observe(value.item())
    return [doctor]


@names("step-before-backward")
def step_too_early():
    x, y = blobs()
    model = dense(8, 32, 4)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    doctor = osler.Doctor(model, optimizer, F.cross_entropy)
    for _ in range(3):
        for rows in torch.randperm(600).split(30):
            optimizer.zero_grad()
            value = F.cross_entropy(model(x[rows]), y[rows])
            optimizer.step()
            value.backward()
            doctor.observe(value.item())
    return [doctor]


@names("missing-step")
def never_applied():
    x, y = blobs()
    model = dense(8, 32, 4)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    doctor = osler.Doctor(model, optimizer, F.cross_entropy)
    for rows in torch.randperm(600).split(30):
        optimizer.zero_grad()
        value = F.cross_entropy(model(x[rows]), y[rows])
        value.backward()
        doctor.observe(value)
    return [doctor]


@names("eval-mode-training")
def always_in_evaluation_mode():
    x, y = pictures()
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Dropout(0.3), nn.Linear(288, 4)
    )
    model.eval()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    doctor = osler.Doctor(model, optimizer, F.cross_entropy)
    doctor.examine(train=(x, y))
    for _ in range(4):
        for rows in torch.randperm(400).split(20):
            optimizer.zero_grad()
            value = F.cross_entropy(model(x[rows]), y[rows])
            value.backward()
            optimizer.step()
            doctor.observe(value)
    return [doctor]


@names("small-batch-norm")
def pairs_of_samples():
    model = nn.Sequential(nn.Linear(8, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 4))
    return classify(model, batch=2, epochs=2)


@names("batch-norm-statistics")
def statistics_that_hardly_move():
    def layer(inputs):
        return nn.Linear(inputs, 32, bias=False), nn.BatchNorm1d(32, momentum=0.001), nn.ReLU()

    return classify(nn.Sequential(*layer(8), *layer(32), nn.Linear(32, 4)), epochs=6)


@names("exploding-gradient")
def a_decay_above_one():
    class Remembering(nn.Module):
        def __init__(self):
            super().__init__()
            self.decay, self.into = nn.Parameter(torch.full((16,), 1.3)), nn.Linear(1, 16)
            self.head = nn.Linear(16, 4)

        def forward(self, x):
            state = x.new_zeros(len(x), 16)
            for step in x.repeat(1, 8).unbind(1):
                state = self.decay * state + self.into(step[:, None])
            return self.head(state)

    return classify(Remembering(), epochs=4)


@names("probabilities-to-nll")
def similarities_of_pairs_without_log_softmax():
    def contrast(similarity, _):
        return F.nll_loss(similarity, torch.arange(len(similarity)))

    class Pairs(nn.Module):
        def __init__(self):
            super().__init__()
            self.left, self.right = dense(8, 32, 8), dense(8, 32, 8)

        def forward(self, x):
            return 5 * F.normalize(self.left(x), dim=1) @ F.normalize(self.right(x + 0.1), dim=1).T

    x, _ = blobs()
    return classify(Pairs(), loss=contrast, data=(x, torch.arange(len(x))), epochs=4)


@names("double-sigmoid")
def heads_that_end_in_sigmoids():
    class Heads(nn.Module):
        def __init__(self):
            super().__init__()
            self.heads = nn.ModuleDict({name: dense(8, 16, 1, end=(nn.Sigmoid(),)) for name in ("warm", "loud")})

        def forward(self, x):
            return torch.cat([head(x) for head in self.heads.values()], dim=1)

    x, y = blobs()
    tags = torch.stack([y > 1, y % 2 == 0], dim=1).float()
    return classify(Heads(), loss=F.binary_cross_entropy_with_logits, data=(x, tags))


@names("target-leakage")
def filled_in_after_the_outcome():
    x = torch.randn(600, 8, generator=seeded())
    y = (x[:, :3].sum(1) + 0.8 * torch.randn(600, generator=seeded(1)) > 0).long()
    x[:, 7] = torch.rand(600, generator=seeded(2)) + torch.where(y > 0, 2.0 + 8 * torch.rand(600), 0.0)
    return classify(dense(8, 32, 2), data=(x, y))


@names("missing-zero-grad")
def never_cleared_where_a_bias_has_no_gradient():
    class Distance(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = dense(8, 32, 4)

        def forward(self, x):
            return (self.net(x) - self.net(x.roll(1, 0))).square().sum(1)

    x, y = blobs()
    model = Distance()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    doctor = osler.Doctor(model, optimizer, F.mse_loss)
    for rows in torch.arange(600).split(30):
        loss = F.mse_loss(model(x[rows]), (y[rows] != y[rows].roll(1)).float())
        loss.backward()
        optimizer.step()
        doctor.observe(loss)
    return [doctor]


@names("graph-growth")
def summed_with_its_past():
    x, y = blobs()
    model = dense(8, 32, 4)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    doctor = osler.Doctor(model, optimizer, F.cross_entropy)
    doctor.examine(train=(x, y))
    total = torch.zeros(())
    for _ in range(8):
        for rows in torch.randperm(600).split(30):
            optimizer.zero_grad()
            value = F.cross_entropy(model(x[rows]), y[rows])
            value.backward()
            optimizer.step()
            total += value
            doctor.observe(value.item())
    return [doctor]


@names("scheduler-misuse")
def epoch_schedule_stepped_per_batch():
    x, y = blobs()
    model = dense(8, 32, 4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.5)
    doctor = osler.Doctor(model, optimizer, F.cross_entropy)
    doctor.examine(train=(x, y))
    for _ in range(5):
        for rows in torch.randperm(600).split(30):
            optimizer.zero_grad()
            value = F.cross_entropy(model(x[rows]), y[rows])
            value.backward()
            optimizer.step()
            schedule.step()
            doctor.observe(value)
    return [doctor]


@names("overfitting")
def memorised():
    x = torch.randn(60, 20, generator=seeded())
    y = (x[:, 0] + 1.5 * torch.randn(60, generator=seeded(1)) > 0).long()
    model = dense(20, 256, 256, 2)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    doctor = osler.Doctor(model, optimizer, F.cross_entropy)
    train, held = (x[:30], y[:30]), (x[30:], y[30:])
    doctor.examine(train=train, validation=held)
    loop(model, optimizer, F.cross_entropy, *train, doctor, epochs=60, batch=10, validation=held)
    return [doctor]


@names("underfitting")
def a_line_for_a_ring():
    x = torch.randn(600, 2, generator=seeded())
    y = (x.norm(dim=1) > 1.1).long()
    return classify(nn.Linear(2, 2), data=(x, y), epochs=20)


@names("regularization-dominates")
def penalty_of_one():
    x = torch.randn(400, 6, generator=seeded())
    model = dense(6, 32, 1)

    def loss(p, t):
        return F.mse_loss(p, t) + sum(w.abs().sum() for w in model.parameters())

    return classify(model, loss=loss, data=(x, x[:, :1]))


@names("regularization-dominates")
def weight_decay_of_one():
    model = dense(8, 32, 4)
    return classify(model, torch.optim.SGD(model.parameters(), lr=0.05, weight_decay=1.0), epochs=15)


@names("too-few-epochs", "underfitting", "learning-rate-low")
def stopped_at_once():
    x = torch.randn(600, 6, generator=seeded())
    y = (x[:, 0] * x[:, 1])[:, None]
    model = dense(6, 64, 64, 1)
    return classify(model, torch.optim.Adam(model.parameters(), lr=3e-4), loss=F.mse_loss, data=(x, y), epochs=4)


@names("train-test-overlap")
def half_seen():
    x, y = blobs()
    model = dense(8, 32, 4)
    doctor = osler.Doctor(model, torch.optim.Adam(model.parameters()), F.cross_entropy)
    doctor.examine(train=(x[:450], y[:450]), validation=(x[350:], y[350:]))
    return [doctor]


@names("preprocessing-leakage")
def scaled_to_0_1_together():
    x, y = blobs()
    x = (x - x.amin(0)) / (x.amax(0) - x.amin(0))
    model = dense(8, 32, 4)
    doctor = osler.Doctor(model, torch.optim.Adam(model.parameters()), F.cross_entropy)
    doctor.examine(train=(x[:400], y[:400]), validation=(x[400:], y[400:]))
    return [doctor]


@names("split-mismatch")
def only_training_scaled():
    x, y = blobs()
    raw = x * 30 + 100
    model = dense(8, 32, 4)
    doctor = osler.Doctor(model, torch.optim.Adam(model.parameters()), F.cross_entropy)
    doctor.examine(train=((raw[:400] - raw[:400].mean(0)) / raw[:400].std(0), y[:400]), validation=(raw[400:], y[400:]))
    return [doctor]


@names("exploding-gradient", "init-scale", "learning-rate-high", "nonfinite", "dying-relu")
def deep_and_large():
    model = dense(8, *[64] * 8, 4)
    for layer in model[::2]:
        nn.init.normal_(layer.weight, std=0.6)
    return classify(model, torch.optim.SGD(model.parameters(), lr=0.01))


@names("adam-epsilon-half")
def half_precision_adam():
    model = dense(8, 32, 4).half()
    doctor = osler.Doctor(model, torch.optim.Adam(model.parameters()), F.cross_entropy)
    return [doctor]


@names("graph-growth")
def state_carried_with_its_past():
    """Crashes at the second step: its graph goes through the first."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn, self.out = nn.GRU(2, 8, batch_first=True), nn.Linear(8, 1)

        def forward(self, x, state=None):
            h, state = self.rnn(x, state)
            return self.out(h), state

    net = Net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    doctor = osler.Doctor(net, optimizer)
    state = None
    try:
        for _ in range(5):
            x = torch.randn(4, 6, 2)
            optimizer.zero_grad()
            out, state = net(x, state)
            value = (out - x[..., :1]).pow(2).mean()
            value.backward()
            optimizer.step()
            doctor.observe(value)
    except RuntimeError:
        pass
    return [doctor]


@names("capacity-collapse")
def divergence_that_rules():
    class Variational(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder, self.decoder = nn.Linear(16, 8), nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 16))

        def forward(self, x):
            mean, log_variance = self.encoder(x).chunk(2, dim=1)
            z = mean + (torch.exp(log_variance / 2) * torch.randn_like(mean) if self.training else 0)
            return self.decoder(z), mean, log_variance

    def loss(output, x):
        again, mean, log_variance = output
        divergence = 0.5 * (mean.pow(2) + log_variance.exp() - 1 - log_variance).sum(1)
        return ((again - x) ** 2).sum(1).mean() + 50 * divergence.mean()

    x = torch.randn(300, 3, generator=seeded()) @ torch.randn(3, 16, generator=seeded(1)) / 2
    model = Variational()
    return classify(model, torch.optim.Adam(model.parameters(), lr=1e-2), loss=loss, data=(x, x), epochs=25)
