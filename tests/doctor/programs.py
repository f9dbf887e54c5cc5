"""Healthy training programs of many kinds, each with its own plain loop, for the doctor to stay quiet about."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

import osler

Doctors = list[osler.Doctor]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def loop(model, optimizer, loss, x, y, doctor, epochs=20, batch=32, after=None, validation=None):
    for _ in range(epochs):
        model.train()
        for rows in torch.randperm(len(y)).split(batch):
            optimizer.zero_grad()
            value = loss(model(x[rows]), y[rows])
            value.backward()
            if after:
                after()
            optimizer.step()
            doctor.observe(value)
        if validation is not None:
            model.eval()
            with torch.no_grad():
                doctor.validate(loss(model(validation[0]), validation[1]).item())


def blobs(count=600, classes=4, width=8, seed=0, spread=1.0):
    draw = seeded(seed)
    centre = 2.5 * torch.randn(classes, width, generator=seeded(99))
    y = torch.randint(0, classes, (count,), generator=draw)
    x = (centre[y] + spread * torch.randn(count, width, generator=draw)) / 2.5
    return x, y


class Characters(nn.Module):
    """A causal Transformer whose head shares its weight with the embedding."""

    def __init__(self, words=24, width=32, length=12):
        super().__init__()
        self.tokens = nn.Embedding(words, width)
        self.places = nn.Parameter(0.02 * torch.randn(length, width))
        layer = nn.TransformerEncoderLayer(width, 4, 64, dropout=0.0, batch_first=True, norm_first=True)
        self.body = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, words, bias=False)
        nn.init.normal_(self.tokens.weight, std=0.1)
        self.head.weight = self.tokens.weight

    def forward(self, x):
        length = x.shape[1]
        mask = torch.triu(torch.full((length, length), float("-inf")), diagonal=1)
        return self.head(self.norm(self.body(self.tokens(x) + self.places[:length], mask=mask)))


def token_loss(scores, target):
    return F.cross_entropy(scores.flatten(0, 1), target.flatten())


def tied_transformer():
    draw = seeded()
    start = torch.randint(0, 24, (400, 1), generator=draw)
    step = torch.randint(1, 4, (400, 1), generator=draw)
    text = (start + step * torch.arange(13)) % 24
    x, y = text[:, :-1], text[:, 1:]
    model = Characters()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    doctor = osler.Doctor(model, optimizer, token_loss)
    doctor.examine(train=(x, y))
    loop(model, optimizer, token_loss, x, y, doctor, epochs=12)
    return [doctor]


class Attention(nn.Module):
    """Attention written out by hand, with a residual connection and a norm before it."""

    def __init__(self, width=24, heads=3):
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))

    def forward(self, x):
        n, length, width = x.shape
        h = self.norm(x)
        q, k, v = (f(h).view(n, length, self.heads, -1).transpose(1, 2) for f in (self.query, self.key, self.value))
        weight = (q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])).softmax(dim=-1)
        return x + self.out((weight @ v).transpose(1, 2).reshape(n, length, width))


class Patches(nn.Module):
    """A small vision transformer."""

    def __init__(self, width=24, classes=4):
        super().__init__()
        self.cut = nn.Conv2d(1, width, 4, 4)
        self.mark = nn.Parameter(torch.zeros(1, 1, width))
        self.places = nn.Parameter(0.02 * torch.randn(1, 5, width))
        self.blocks = nn.ModuleList([Attention(width) for _ in range(2)])
        self.mlp = nn.ModuleList(
            [
                nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 48), nn.GELU(), nn.Linear(48, width))
                for _ in range(2)
            ]
        )
        self.head = nn.Linear(width, classes)

    def forward(self, x):
        h = self.cut(x).flatten(2).transpose(1, 2)
        h = torch.cat([self.mark.expand(len(h), -1, -1), h], dim=1) + self.places
        for attend, mlp in zip(self.blocks, self.mlp, strict=True):
            h = attend(h)
            h = h + mlp(h)
        return self.head(h[:, 0])


def pictures(count=400, seed=0):
    draw = seeded(seed)
    y = torch.randint(0, 4, (count,), generator=draw)
    x = 0.3 * torch.randn(count, 1, 8, 8, generator=draw)
    for i, c in enumerate(y.tolist()):
        x[i, 0, 4 * (c // 2) : 4 * (c // 2) + 4, 4 * (c % 2) : 4 * (c % 2) + 4] += 1.0
    return x, y


def vision_transformer():
    x, y = pictures()
    model = Patches()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.05)
    doctor = osler.Doctor(model, optimizer, F.cross_entropy)
    doctor.examine(train=(x, y))
    loop(
        model,
        optimizer,
        F.cross_entropy,
        x,
        y,
        doctor,
        epochs=10,
        after=lambda: nn.utils.clip_grad_norm_(model.parameters(), 1.0),
    )
    return [doctor]


def wasserstein_gan():
    draw = seeded()

    def real(count):
        return torch.randn(count, 2, generator=draw) @ torch.tensor([[0.5, 0.2], [0.0, 0.4]]) + torch.tensor(
            [0.7, -0.3]
        )

    generator = nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 2))
    critic = nn.Sequential(nn.Linear(2, 32), nn.LeakyReLU(0.2), nn.Linear(32, 32), nn.LeakyReLU(0.2), nn.Linear(32, 1))
    first = torch.optim.Adam(generator.parameters(), lr=5e-4, betas=(0.0, 0.9))
    second = torch.optim.Adam(critic.parameters(), lr=1e-3, betas=(0.0, 0.9))
    doctor_c, doctor_g = (
        osler.Doctor(critic, second),
        osler.Doctor(generator, first, lambda fake, _: -critic(fake).mean()),
    )
    doctor_g.examine(train=(torch.randn(128, 4), torch.ones(128)))
    for step in range(300):
        points, fake = real(32), generator(torch.randn(32, 4)).detach()
        mix = torch.rand(32, 1)
        between = (mix * points + (1 - mix) * fake).requires_grad_()
        slope = torch.autograd.grad(critic(between).sum(), between, create_graph=True)[0]
        value = critic(fake).mean() - critic(points).mean() + 10 * (slope.norm(dim=1) - 1).pow(2).mean()
        second.zero_grad()
        value.backward()
        second.step()
        doctor_c.observe(value)
        if step % 3 == 0:
            value = -critic(generator(torch.randn(32, 4))).mean()
            first.zero_grad()
            value.backward()
            first.step()
            doctor_g.observe(value)
    return [doctor_c, doctor_g]


class UNet(nn.Module):
    def __init__(self, width=8):
        super().__init__()
        self.down1 = nn.Sequential(
            nn.Conv2d(1, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, width, 3, padding=1), nn.ReLU()
        )
        self.down2 = nn.Sequential(nn.Conv2d(width, 2 * width, 3, padding=1), nn.ReLU())
        self.up = nn.ConvTranspose2d(2 * width, width, 2, 2)
        self.join = nn.Sequential(nn.Conv2d(2 * width, width, 3, padding=1), nn.ReLU())
        self.out = nn.Conv2d(width, 1, 1)

    def forward(self, x):
        a = self.down1(x)
        b = self.down2(F.max_pool2d(a, 2))
        return self.out(self.join(torch.cat([a, self.up(b)], dim=1)))


def unet_regression():
    clean = F.avg_pool2d(F.pad(torch.randn(200, 1, 12, 12, generator=seeded()), (1, 1, 1, 1)), 3, 1) * 3
    x = clean + 0.5 * torch.randn(clean.shape, generator=seeded(1))
    model = UNet()
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    loss = nn.L1Loss()
    doctor = osler.Doctor(model, optimizer, loss)
    doctor.examine(train=(x, clean), validation=(x[:40] + 0.1, clean[:40]))
    loop(model, optimizer, loss, x, clean, doctor, epochs=8, batch=20)
    return [doctor]


def unet_segmentation():
    draw = seeded()
    x = torch.randn(200, 1, 12, 12, generator=draw)
    smooth = F.avg_pool2d(F.pad(x, (2, 2, 2, 2)), 5, 1)
    y = (smooth > 0.1).long().squeeze(1)
    model = UNet()
    model.out = nn.Conv2d(8, 2, 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)

    def loss(scores, target):
        share = scores.softmax(dim=1)[:, 1]
        dice = 1 - (2 * (share * target).sum() + 1) / (share.sum() + target.sum() + 1)
        return F.cross_entropy(scores, target) + dice

    doctor = osler.Doctor(model, optimizer, loss)
    doctor.examine(train=(x, y))
    loop(model, optimizer, loss, x, y, doctor, epochs=10, batch=20)
    return [doctor]


class Language(nn.Module):
    def __init__(self, words=20, width=32):
        super().__init__()
        self.embed = nn.Embedding(words, width)
        self.rnn = nn.LSTM(width, width, num_layers=2, dropout=0.1)
        self.drop = nn.Dropout(0.2)
        self.head = nn.Linear(width, words)

    def forward(self, x, state=None):
        h, state = self.rnn(self.drop(self.embed(x)), state)
        return self.head(self.drop(h)), state


def carried_state_language_model():
    """Truncated back-propagation through time: (time, batch) tokens, the state carried over and detached."""
    text = (torch.arange(2400) * 3 + (torch.arange(2400) // 7) % 3) % 20
    columns = text.view(8, 300).t().contiguous()
    model = Language()
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)

    def loss(output, target):
        return F.cross_entropy(output[0].flatten(0, 1), target.flatten())

    doctor = osler.Doctor(model, optimizer, loss)
    doctor.examine(train=(columns[:15], columns[1:16]))
    for _ in range(10):
        state = None
        for at in range(0, 285, 15):
            x, y = columns[at : at + 15], columns[at + 1 : at + 16]
            if state is not None:
                state = tuple(s.detach() for s in state)
            optimizer.zero_grad()
            scores, state = model(x, state)
            value = F.cross_entropy(scores.flatten(0, 1), y.flatten())
            value.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 0.5)
            optimizer.step()
            doctor.observe(value)
    return [doctor]


def multilabel():
    x = torch.randn(500, 12, generator=seeded())
    y = (x @ torch.randn(12, 6, generator=seeded(1)) > 1.5).float()
    model = nn.Sequential(nn.Linear(12, 48), nn.ReLU(), nn.Dropout(0.2), nn.Linear(48, 6))
    optimizer = torch.optim.RMSprop(model.parameters(), lr=2e-3)
    loss = nn.BCEWithLogitsLoss()
    doctor = osler.Doctor(model, optimizer, loss)
    doctor.examine(train=(x[:400], y[:400]), validation=(x[400:], y[400:]))
    loop(model, optimizer, loss, x[:400], y[:400], doctor, validation=(x[400:], y[400:]))
    return [doctor]


class Recommender(nn.Module):
    """Two inputs, given as two arguments."""

    def __init__(self, users=30, items=40, width=8):
        super().__init__()
        self.user, self.item = nn.Embedding(users, width), nn.Embedding(items, width)
        self.mlp = nn.Sequential(nn.Linear(2 * width, 32), nn.ReLU(), nn.Linear(32, 1))

    def forward(self, user, item):
        return self.mlp(torch.cat([self.user(user), self.item(item)], dim=-1)).squeeze(-1)


def recommender():
    pairs = torch.cartesian_prod(torch.arange(30), torch.arange(40))
    taste, trait = torch.randn(30, 2, generator=seeded()), torch.randn(40, 2, generator=seeded(1))
    stars = (3 + (taste[pairs[:, 0]] * trait[pairs[:, 1]]).sum(1)).clamp(1, 5)
    model = Recommender()
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    loss = nn.MSELoss()
    doctor = osler.Doctor(model, optimizer, loss)
    doctor.examine(train=((pairs[:, 0], pairs[:, 1]), stars))
    for _ in range(30):
        for rows in torch.randperm(len(stars)).split(64):
            optimizer.zero_grad()
            value = loss(model(pairs[rows, 0], pairs[rows, 1]), stars[rows])
            value.backward()
            optimizer.step()
            doctor.observe(value)
    return [doctor]


class ScaledBlock(nn.Module):
    """A residual branch that starts at nearly zero (LayerScale), or at zero."""

    def __init__(self, width, zero):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.first, self.second = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.scale = nn.Parameter(torch.full((width,), 1e-4))
        if zero:
            nn.init.zeros_(self.second.weight)
            nn.init.zeros_(self.second.bias)
        self.zero = zero

    def forward(self, x):
        h = self.second(F.silu(self.first(self.norm(x))))
        return x + (h if self.zero else self.scale * h)


def zero_branches():
    x, y = blobs()
    model = nn.Sequential(nn.Linear(8, 24), ScaledBlock(24, True), ScaledBlock(24, False), nn.Linear(24, 4))
    nn.init.zeros_(model[3].weight)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    doctor = osler.Doctor(model, optimizer, F.cross_entropy)
    doctor.examine(train=(x, y))
    loop(model, optimizer, F.cross_entropy, x, y, doctor)
    return [doctor]


class Functional(nn.Module):
    """Everything as functions of parameters that the module holds itself."""

    def __init__(self):
        super().__init__()
        self.w1, self.b1 = nn.Parameter(torch.randn(32, 8) * math.sqrt(2 / 8)), nn.Parameter(torch.zeros(32))
        self.w2, self.b2 = nn.Parameter(torch.randn(4, 32) * math.sqrt(1 / 32)), nn.Parameter(torch.zeros(4))

    def forward(self, x):
        h = torch.clamp(x @ self.w1.t() + self.b1, min=0)
        h = F.dropout(h, 0.2, self.training)
        return F.log_softmax(F.linear(h, self.w2, self.b2), dim=-1)


def functional_mlp():
    x, y = blobs()
    model = Functional()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True)
    doctor = osler.Doctor(model, optimizer, F.nll_loss)
    doctor.examine(train=(x[:500], y[:500]), validation=(x[500:], y[500:]))
    loop(model, optimizer, F.nll_loss, x[:500], y[:500], doctor, validation=(x[500:], y[500:]))
    return [doctor]


def frozen_backbone():
    x, y = pictures()
    backbone = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()
    )
    backbone.requires_grad_(False).eval()
    model = nn.Sequential(backbone, nn.Linear(256, 4))
    optimizer = torch.optim.Adam(filter(lambda p: p.requires_grad, model.parameters()), lr=1e-3)
    doctor = osler.Doctor(model, optimizer, F.cross_entropy)
    doctor.examine(train=(x, y))
    for _ in range(10):
        for rows in torch.randperm(len(x)).split(40):
            value = F.cross_entropy(model(x[rows]), y[rows])
            optimizer.zero_grad(set_to_none=False)
            value.backward()
            optimizer.step()
            doctor.observe(value.item())
    return [doctor]


def frozen_backbone_of_raw_pixels():
    """The first layer has learned from inputs of 0 to 255, and its weights are as small as that asks for."""
    x, y = blobs()
    x = (x - x.min()) / (x.max() - x.min()) * 255
    backbone = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU())
    with torch.no_grad():
        backbone[0].weight /= 100
    backbone.requires_grad_(False)
    model = nn.Sequential(backbone, nn.Linear(32, 4))
    optimizer = torch.optim.Adam(model[1].parameters(), lr=1e-2)
    doctor = osler.Doctor(model, optimizer, F.cross_entropy)
    doctor.examine(train=(x, y))
    loop(model, optimizer, F.cross_entropy, x, y, doctor, epochs=20)
    return [doctor]


def a_threshold_on_one_column():
    """What one column says is a law here: its values are cut in two, with no gap at the cut."""
    x = torch.randn(600, 8, generator=seeded())
    y = (x[:, 3] > 0.3).long()
    model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 2))
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    doctor = osler.Doctor(model, optimizer, F.cross_entropy)
    doctor.examine(train=(x, y))
    loop(model, optimizer, F.cross_entropy, x, y, doctor, epochs=20)
    return [doctor]


def stopped_when_validation_no_longer_improved():
    x = torch.randn(400, 300, generator=seeded())
    y = (x[:, :20].sum(1) + 5 * torch.randn(400, generator=seeded(1)) > 0).long()
    model = nn.Sequential(nn.Linear(300, 16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 2))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.1)
    doctor = osler.Doctor(model, optimizer, F.cross_entropy)
    doctor.examine(train=(x[:200], y[:200]), validation=(x[200:], y[200:]))
    best, since = float("inf"), 0
    while since < 2:
        loop(model, optimizer, F.cross_entropy, x[:200], y[:200], doctor, epochs=1, batch=20)
        model.eval()
        with torch.no_grad():
            value = float(F.cross_entropy(model(x[200:]), y[200:]))
        model.train()
        doctor.validate(loss=value)
        best, since = (value, 0) if value < best - 1e-3 else (best, since + 1)
    return [doctor]


def contrastive():
    """Two views of each sample attract, all others repel; the loss has a softmax over the batch."""
    base = torch.randn(300, 10, generator=seeded())
    model = nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Linear(32, 16))
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)

    def loss(views, _=None):
        z = F.normalize(views, dim=-1)
        a, b = z.chunk(2)
        return F.cross_entropy(a @ b.t() / 0.2, torch.arange(len(a)))

    doctor = osler.Doctor(model, optimizer, loss)
    doctor.examine(train=(torch.cat([base[:32], base[:32] + 0.1]), torch.zeros(64)))
    for _ in range(15):
        for rows in torch.randperm(300).split(50):
            views = torch.cat([base[rows] + 0.1 * torch.randn(len(rows), 10) for _ in range(2)])
            optimizer.zero_grad()
            value = loss(model(views))
            value.backward()
            optimizer.step()
            doctor.observe(value)
    return [doctor]


class Mixture(nn.Module):
    """A mixture density network: three outputs."""

    def __init__(self, parts=3):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(1, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh())
        self.share, self.mean, self.log_std = (nn.Linear(32, parts) for _ in range(3))

    def forward(self, x):
        h = self.body(x)
        return self.share(h).log_softmax(-1), self.mean(h), self.log_std(h).clamp(-5, 3)


def mixture_loss(output, y):
    share, mean, log_std = output
    density = -0.5 * ((y - mean) / log_std.exp()) ** 2 - log_std - 0.5 * math.log(2 * math.pi)
    return -torch.logsumexp(share + density, dim=1).mean()


def mixture_density():
    t = 2 * torch.rand(500, 1, generator=seeded()) - 1
    y = t
    x = t + 0.3 * torch.sin(6 * t) + 0.05 * torch.randn(500, 1, generator=seeded(1))
    model = Mixture()
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    doctor = osler.Doctor(model, optimizer, mixture_loss)
    doctor.examine(train=(x, y))
    loop(model, optimizer, mixture_loss, x, y, doctor)
    return [doctor]


def xor_by_squared_error():
    x = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    y = torch.tensor([[0.0], [1.0], [1.0], [0.0]])
    model = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1), nn.Sigmoid())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9)
    loss = nn.MSELoss()
    doctor = osler.Doctor(model, optimizer, loss)
    doctor.examine(train=(x, y))
    for _ in range(600):
        optimizer.zero_grad()
        value = loss(model(x), y)
        value.backward()
        optimizer.step()
        doctor.observe(value.item())
    return [doctor]


class Convolutional(nn.Module):
    """Depthwise-separable convolutions with linear bottlenecks, as in MobileNet v2."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU6(inplace=True))
        self.wide = nn.Sequential(nn.Conv2d(8, 32, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU6(inplace=True))
        self.depth = nn.Sequential(
            nn.Conv2d(32, 32, 3, padding=1, groups=32, bias=False), nn.BatchNorm2d(32), nn.ReLU6(inplace=True)
        )
        self.narrow = nn.Sequential(nn.Conv2d(32, 8, 1, bias=False), nn.BatchNorm2d(8))
        self.last = nn.Sequential(nn.Conv2d(8, 64, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU6(inplace=True))
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(64, 4))

    def forward(self, x):
        x = self.stem(x)
        x = x + self.narrow(self.depth(self.wide(x)))
        return self.classifier(self.last(F.max_pool2d(x, 8)).flatten(1))


def mobile():
    x, y = pictures()
    model = Convolutional()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=4e-5)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 4, 0.5)
    doctor = osler.Doctor(model, optimizer, nn.CrossEntropyLoss(label_smoothing=0.1))
    doctor.examine(train=(x[:320], y[:320]), validation=(x[320:], y[320:]))
    for _ in range(8):
        loop(model, optimizer, F.cross_entropy, x[:320], y[:320], doctor, epochs=1, validation=(x[320:], y[320:]))
        schedule.step()
    return [doctor]


def two_optimizers():
    """Embeddings by sparse Adam, the rest by SGD."""
    draw = seeded()
    x = torch.randint(0, 40, (500, 6), generator=draw)
    y = ((x < 10).sum(1) > 1).float()
    model = nn.Sequential(
        nn.EmbeddingBag(40, 16, sparse=True), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 1), nn.Flatten(0)
    )
    optimizers = [
        torch.optim.SparseAdam(list(model[0].parameters()), lr=1e-2),
        torch.optim.SGD(model[1:].parameters(), lr=0.1, momentum=0.9),
    ]
    loss = nn.BCEWithLogitsLoss()
    doctor = osler.Doctor(model, optimizers, loss)
    doctor.examine(train=(x, y))
    for _ in range(25):
        for rows in torch.randperm(500).split(25):
            for o in optimizers:
                o.zero_grad()
            value = loss(model(x[rows]), y[rows])
            value.backward()
            for o in optimizers:
                o.step()
            doctor.observe(value)
    return [doctor]


def mixed_precision():
    x, y = blobs()
    model = nn.Sequential(nn.Linear(8, 64), nn.GELU(), nn.Linear(64, 64), nn.GELU(), nn.Linear(64, 4))
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    doctor = osler.Doctor(model, optimizer, F.cross_entropy)
    doctor.examine(train=(x, y))
    for _ in range(10):
        for rows in torch.randperm(600).split(30):
            optimizer.zero_grad()
            with torch.autocast("cpu", dtype=torch.bfloat16):
                value = F.cross_entropy(model(x[rows]), y[rows])
            value.backward()
            optimizer.step()
            doctor.observe(value)
    return [doctor]


def unannounced_accumulation():
    """Four backward passes a step, the sum of the losses reported: nobody told the doctor."""
    x, y = blobs()
    model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 4))
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    doctor = osler.Doctor(model, optimizer, F.cross_entropy)
    doctor.examine(train=(x, y))
    for _ in range(15):
        total = 0.0
        for i, rows in enumerate(torch.randperm(600).split(10)):
            value = F.cross_entropy(model(x[rows]), y[rows]) / 4
            value.backward()
            total += value.item()
            if i % 4 == 3:
                optimizer.step()
                optimizer.zero_grad()
                doctor.observe(total)
                total = 0.0
    return [doctor]


class Sequence(nn.Module):
    """Encoder and decoder with attention and teacher forcing."""

    def __init__(self, words=12, width=32):
        super().__init__()
        self.source, self.target = nn.Embedding(words, width), nn.Embedding(words, width)
        self.encoder = nn.GRU(width, width, batch_first=True)
        self.cell = nn.GRUCell(2 * width, width)
        self.head = nn.Linear(2 * width, words)

    def forward(self, x, y):
        memory, state = self.encoder(self.source(x))
        state, outputs = state[0], []
        for step in range(y.shape[1]):
            weight = torch.softmax((memory @ state.unsqueeze(2)).squeeze(2), dim=1)
            context = (weight.unsqueeze(1) @ memory).squeeze(1)
            state = self.cell(torch.cat([self.target(y[:, step]), context], 1), state)
            outputs.append(self.head(torch.cat([state, context], 1)))
        return torch.stack(outputs, 1)


def sequence_to_sequence():
    x = torch.randint(1, 12, (400, 5), generator=seeded())
    y = x.flip(1)
    given = torch.cat([torch.zeros(400, 1, dtype=torch.long), y[:, :-1]], 1)
    model = Sequence()
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)

    def loss(scores, target):
        return F.cross_entropy(scores.transpose(1, 2), target)

    doctor = osler.Doctor(model, optimizer, loss)
    doctor.examine(train=((x, given), y))
    for _ in range(12):
        for rows in torch.randperm(400).split(40):
            optimizer.zero_grad()
            value = loss(model(x[rows], given[rows]), y[rows])
            value.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            doctor.observe(value)
    return [doctor]


def policy_gradient():
    """REINFORCE on a bandit with context; its loss is no measure of success."""
    model = nn.Sequential(nn.Linear(4, 32), nn.Tanh(), nn.Linear(32, 3))
    best = torch.randn(4, 3, generator=seeded())
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    doctor = osler.Doctor(model, optimizer)
    for _ in range(300):
        state = torch.randn(32, 4)
        choice = torch.distributions.Categorical(logits=model(state))
        action = choice.sample()
        reward = (action == (state @ best).argmax(1)).float()
        value = -(choice.log_prob(action) * (reward - reward.mean())).mean()
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        doctor.observe(value)
    return [doctor]


def hand_written_update():
    """No optimizer at all: the weights are moved by hand."""
    x = torch.randn(200, 3, generator=seeded())
    y = x @ torch.tensor([[1.0], [-2.0], [0.5]]) + 0.3
    model = nn.Linear(3, 1)
    doctor = osler.Doctor(model, loss=F.mse_loss)
    doctor.examine(train=(x, y))
    for _ in range(100):
        value = F.mse_loss(model(x), y)
        model.zero_grad()
        value.backward()
        with torch.no_grad():
            for p in model.parameters():
                p -= 0.1 * p.grad
        doctor.observe(value)
    return [doctor]


def line_search():
    """L-BFGS calls its closure several times a step."""
    x, y = blobs(300)
    model = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 4))
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.5, max_iter=5)
    doctor = osler.Doctor(model, optimizer, F.cross_entropy)
    doctor.examine(train=(x, y))
    for _ in range(20):

        def closure():
            optimizer.zero_grad()
            value = F.cross_entropy(model(x), y)
            value.backward()
            return value

        doctor.observe(optimizer.step(closure))
    return [doctor]


def focal():
    """Rare positives under a loss that weighs them by hand."""
    x = torch.randn(800, 6, generator=seeded())
    y = (x[:, 0] + x[:, 1] > 2.4).float().unsqueeze(1)
    model = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)

    def loss(score, target):
        each = F.binary_cross_entropy_with_logits(score, target, reduction="none")
        return ((0.1 + 0.8 * target) * (1 - torch.exp(-each)) ** 2 * each).mean()

    doctor = osler.Doctor(model, optimizer, loss)
    doctor.examine(train=(x, y))
    loop(model, optimizer, loss, x, y, doctor, epochs=15)
    return [doctor]


def low_rank_adapter():
    """A frozen layer with a trainable correction of low rank, whose second factor starts at zero."""

    class Adapted(nn.Module):
        def __init__(self):
            super().__init__()
            self.base = nn.Linear(8, 32)
            self.base.requires_grad_(False)
            self.down, self.up = nn.Linear(8, 2, bias=False), nn.Linear(2, 32, bias=False)
            nn.init.zeros_(self.up.weight)
            self.head = nn.Linear(32, 4)

        def forward(self, x):
            return self.head(F.relu(self.base(x) + self.up(self.down(x))))

    x, y = blobs()
    model = Adapted()
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=5e-3)
    doctor = osler.Doctor(model, optimizer, F.cross_entropy)
    doctor.examine(train=(x, y))
    loop(model, optimizer, F.cross_entropy, x, y, doctor, epochs=15)
    return [doctor]


def counts_by_poisson():
    x = torch.randn(400, 5, generator=seeded())
    y = torch.poisson((0.6 * x[:, 0] + 0.4 * x[:, 1] + 1).exp(), generator=seeded(1))
    model = nn.Sequential(nn.Linear(5, 32), nn.ReLU(), nn.Linear(32, 1), nn.Flatten(0))
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    loss = nn.PoissonNLLLoss()
    doctor = osler.Doctor(model, optimizer, loss)
    doctor.examine(train=(x, y))
    loop(model, optimizer, loss, x, y, doctor, epochs=15)
    return [doctor]


def ratings_as_amounts():
    x = torch.randn(500, 6, generator=seeded())
    y = (3 + x[:, 0] + 0.7 * x[:, 1]).round().clamp(1, 5)
    model = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 1), nn.Flatten(0))
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    loss = nn.SmoothL1Loss()
    doctor = osler.Doctor(model, optimizer, loss)
    doctor.examine(train=(x, y))
    loop(model, optimizer, loss, x, y, doctor, epochs=20)
    return [doctor]


def sum_with_small_rate():
    x = torch.randn(300, 4, generator=seeded())
    y = x @ torch.tensor([[1.0], [0.5], [-1.0], [0.0]])
    model = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=2e-3)
    loss = nn.MSELoss(reduction="sum")
    doctor = osler.Doctor(model, optimizer, loss)
    doctor.examine(train=(x, y))
    loop(model, optimizer, loss, x, y, doctor, epochs=20)
    return [doctor]


def graph_network():
    """All nodes in one batch; neighbours are averaged by a constant matrix."""
    draw = seeded()
    y = torch.arange(120) % 3
    near = (torch.rand(120, 120, generator=draw) < torch.where(y[:, None] == y[None], 0.15, 0.01)).float()
    near = ((near + near.t() + torch.eye(120)) > 0).float()
    near = near / near.sum(1, keepdim=True)
    x = F.one_hot(y, 3).float() + torch.randn(120, 3, generator=draw)

    class Graph(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(3, 16), nn.Linear(16, 3)

        def forward(self, x):
            return near @ self.second(F.dropout(F.relu(near @ self.first(x)), 0.3, self.training))

    model = Graph()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2, weight_decay=5e-4)
    doctor = osler.Doctor(model, optimizer, F.cross_entropy)
    doctor.examine(train=(x, y))
    for _ in range(100):
        model.train()
        optimizer.zero_grad()
        value = F.cross_entropy(model(x)[:80], y[:80])
        value.backward()
        optimizer.step()
        doctor.observe(value)
    return [doctor]


def distillation():
    """A student learns the softened answers of a teacher."""
    x, _ = blobs()
    teacher = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 4)).eval()
    with torch.no_grad():
        y = (teacher(x) * 8).softmax(1)
    model = nn.Sequential(nn.Linear(8, 24), nn.ReLU(), nn.Linear(24, 4))
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)

    def loss(scores, target):
        return F.kl_div(F.log_softmax(scores, 1), target, reduction="batchmean")

    doctor = osler.Doctor(model, optimizer, loss)
    doctor.examine(train=(x, y))
    loop(model, optimizer, loss, x, y, doctor)
    return [doctor]


def evaluation_mode_without_effect():
    """A network without dropout or norm that is left in evaluation mode: no matter."""
    x, y = blobs()
    model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 4))
    optimizer = torch.optim.Adagrad(model.parameters(), lr=0.05)
    doctor = osler.Doctor(model, optimizer, F.cross_entropy)
    doctor.examine(train=(x, y))
    model.eval()
    for _ in range(10):
        for rows in torch.randperm(600).split(30):
            optimizer.zero_grad()
            value = F.cross_entropy(model(x[rows]), y[rows])
            value.backward()
            optimizer.step()
            doctor.observe(value)
    return [doctor]


def denoising_autoencoder():
    base = torch.randn(400, 3, generator=seeded()) @ torch.randn(3, 20, generator=seeded(1))
    base = base / base.std()
    model = nn.Sequential(nn.Linear(20, 16), nn.ELU(), nn.Linear(16, 4), nn.Linear(4, 16), nn.ELU(), nn.Linear(16, 20))
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    noisy = base + 0.3 * torch.randn(base.shape, generator=seeded(2))
    doctor = osler.Doctor(model, optimizer, F.mse_loss)
    doctor.examine(train=(noisy, base))
    loop(model, optimizer, F.mse_loss, noisy, base, doctor)
    return [doctor]


def hard_data():
    """Weak signal: even the best prediction explains little."""
    x = torch.randn(800, 10, generator=seeded())
    y = 0.4 * x[:, :1] + torch.randn(800, 1, generator=seeded(1))
    model = nn.Sequential(nn.Linear(10, 16), nn.ReLU(), nn.Linear(16, 1))
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.1)
    doctor = osler.Doctor(model, optimizer, F.mse_loss)
    doctor.examine(train=(x[:600], y[:600]), validation=(x[600:], y[600:]))
    loop(model, optimizer, F.mse_loss, x[:600], y[:600], doctor, epochs=10, validation=(x[600:], y[600:]))
    return [doctor]


def hard_classes():
    """Two classes that overlap by half."""
    y = torch.randint(0, 2, (800,), generator=seeded())
    x = torch.randn(800, 5, generator=seeded(1)) + 0.4 * y[:, None]
    model = nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Linear(16, 2))
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    doctor = osler.Doctor(model, optimizer, F.cross_entropy)
    doctor.examine(train=(x[:600], y[:600]), validation=(x[600:], y[600:]))
    loop(model, optimizer, F.cross_entropy, x[:600], y[:600], doctor, epochs=10, validation=(x[600:], y[600:]))
    return [doctor]


def sorted_but_shuffled():
    x, y = blobs()
    order = y.argsort()
    x, y = x[order], y[order]
    model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 4))
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    doctor = osler.Doctor(model, optimizer, F.cross_entropy)
    doctor.examine(train=(x, y))
    loop(model, optimizer, F.cross_entropy, x, y, doctor)
    return [doctor]


def gathered_losses():
    """The losses of an epoch are kept as tensors for their mean, then let go."""
    x, y = blobs()
    model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 4))
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    doctor = osler.Doctor(model, optimizer, F.cross_entropy)
    doctor.examine(train=(x, y))
    for _ in range(4):
        kept = []
        for rows in torch.randperm(600).split(8):
            optimizer.zero_grad()
            value = F.cross_entropy(model(x[rows]), y[rows])
            value.backward()
            optimizer.step()
            kept.append(value)
            doctor.observe(value)
        torch.stack(kept).mean().item()
    return [doctor]


HEALTHY: list[Callable[[], Doctors]] = [
    tied_transformer,
    vision_transformer,
    wasserstein_gan,
    unet_regression,
    unet_segmentation,
    carried_state_language_model,
    multilabel,
    recommender,
    zero_branches,
    functional_mlp,
    frozen_backbone,
    frozen_backbone_of_raw_pixels,
    a_threshold_on_one_column,
    stopped_when_validation_no_longer_improved,
    contrastive,
    mixture_density,
    xor_by_squared_error,
    mobile,
    two_optimizers,
    mixed_precision,
    unannounced_accumulation,
    sequence_to_sequence,
    policy_gradient,
    hand_written_update,
    line_search,
    focal,
    low_rank_adapter,
    counts_by_poisson,
    ratings_as_amounts,
    sum_with_small_rate,
    graph_network,
    distillation,
    evaluation_mode_without_effect,
    denoising_autoencoder,
    hard_data,
    hard_classes,
    sorted_but_shuffled,
    gathered_losses,
]
