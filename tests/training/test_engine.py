"""How steps are computed: really as asked, and everything as before afterwards."""

from collections import OrderedDict, namedtuple
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from osler.errors import InputError
from osler.objectives.objective import Outcome
from osler.objectives.supervised import Supervised
from osler.records import Batch
from osler.training.callbacks.callback import Callback
from osler.training.engine import Engine
from osler.training.trainer import Trainer

CPU = torch.device("cpu")
X = torch.randn(12, 3, 8, 8, generator=torch.Generator().manual_seed(0))
Y = torch.randint(4, (12,), generator=torch.Generator().manual_seed(1))


class Seen(nn.Module):
    """Passes on what it is given, and remembers of what kind it was."""

    def __init__(self) -> None:
        super().__init__()
        self.types: list[torch.dtype] = []
        self.last = torch.zeros(0)
        self.threads: list[int] = []

    def forward(self, x: Tensor) -> Tensor:
        self.types.append(x.dtype)
        self.threads.append(torch.get_num_threads())
        self.last = x.detach()
        return x


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3), Seen(), nn.ReLU(), nn.Flatten(), nn.Linear(288, 4))


class Watched(Supervised):
    """Remembers the type of the outputs that the loss got."""

    def __init__(self) -> None:
        super().__init__(nn.CrossEntropyLoss())
        self.types: list[torch.dtype] = []

    def evaluate(self, model: nn.Module, batch: Batch) -> Outcome:
        outcome = super().evaluate(model, batch)
        self.types += [outcome.outputs.dtype, outcome.loss.dtype]
        return outcome


def learn(engine: Engine, *callbacks: Callback) -> tuple[Any, Watched]:
    model, objective = network(), Watched()
    sgd = torch.optim.SGD(model.parameters(), lr=0.1)
    trainer = Trainer(model, objective, optimizer=sgd, engine=engine, callbacks=callbacks)
    trainer.fit([(X, Y)], [(X, Y)], epochs=2)
    return model, objective


def settings(model: nn.Module | None = None) -> tuple[Any, ...]:
    """What a fit must leave as it was."""
    hooks = [] if model is None else [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules()]
    return (
        torch.get_num_threads(),
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.is_autocast_enabled("cpu"),
        torch.is_grad_enabled(),
        sum(hooks),
        None if model is None else model._compiled_call_impl,
    )


# Precision


def test_bfloat16_inside_and_float32_for_the_loss() -> None:
    model, objective = learn(Engine(precision="bfloat16"))
    assert model[1].types[-4:] == [torch.bfloat16] * 4  # two steps and two validations
    assert set(objective.types) == {torch.float32}
    assert all(p.dtype == torch.float32 for p in model.parameters())
    model[1].types.clear()
    assert model(X).dtype == torch.float32
    assert model[1].types == [torch.float32]


def test_bfloat16_is_what_torch_computes_in_autocast() -> None:
    model, _ = learn(Engine(precision="bfloat16"))
    expected = network()
    sgd = torch.optim.SGD(expected.parameters(), lr=0.1)
    for _ in range(2):
        with torch.autocast("cpu", torch.bfloat16):
            loss = F.cross_entropy(expected(X).float(), Y)
        sgd.zero_grad()
        loss.backward()
        sgd.step()
    for mine, theirs in zip(model.parameters(), expected.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_float32_is_nothing_else() -> None:
    model, _ = learn(Engine(precision="float32"))
    assert set(model[1].types) == {torch.float32}


Pair = namedtuple("Pair", "scores rest")


class Output(OrderedDict[str, Any]):
    """A dict of attributes, as some libraries give."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


@pytest.mark.parametrize(
    "pack",
    [
        lambda a, b: a,
        lambda a, b: (a, b),
        lambda a, b: [a, (b, None, 3)],
        lambda a, b: Pair(a, b),
        lambda a, b: {"a": a, "b": [b]},
        lambda a, b: Output(a=a, b=(b, "text")),
    ],
)
def test_outputs_of_any_form_are_full(pack: Any) -> None:
    class Packs(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(3, 2)

        def forward(self, x: Tensor) -> Any:
            return pack(self.layer(x), x.long())

    def types(value: Any) -> list[torch.dtype]:
        if isinstance(value, Tensor):
            return [value.dtype]
        parts = value.values() if isinstance(value, dict) else value if isinstance(value, tuple | list) else []
        return [found for part in parts for found in types(part)]

    model, engine = Packs(), Engine(precision="bfloat16")
    plain = model(torch.ones(2, 3))
    with engine.running(model), engine.autocast(CPU):
        full = model(torch.ones(2, 3))
    assert type(full) is type(plain)
    assert types(full) == types(plain)
    assert torch.bfloat16 not in types(full)
    if isinstance(plain, Output):
        assert full.a is full["a"]


@pytest.mark.parametrize("form", ["positions", "names", "mask"])
def test_attention_in_bfloat16(form: str) -> None:
    class Attends(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.q, self.k, self.v, self.mask = (nn.Linear(8, 8) for _ in range(4))

        def forward(self, x: Tensor) -> Any:
            q, k, v = self.q(x), self.k(x), self.v(x)
            if form == "positions":
                return F.scaled_dot_product_attention(q, k, v)
            if form == "names":
                return F.scaled_dot_product_attention(q, key=k, value=v)
            return F.scaled_dot_product_attention(q, k, v, attn_mask=q @ self.mask(x).transpose(1, 2))

    torch.manual_seed(0)
    model, engine = Attends(), Engine(precision="bfloat16")
    x = torch.randn(2, 5, 8)
    expected = model(x)
    with engine.running(model), engine.autocast(CPU):
        y = model(x)
        y.sum().backward()
    torch.testing.assert_close(y, expected, rtol=0.05, atol=0.05)
    assert model.q.weight.grad is not None


# Layout


def test_channels_last_for_weights_and_inputs() -> None:
    model, _ = learn(Engine(channels_last=True))
    assert model[0].weight.is_contiguous(memory_format=torch.channels_last)
    assert model[1].last.is_contiguous(memory_format=torch.channels_last)
    expected, _ = learn(Engine())
    for mine, theirs in zip(model.parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs)


def test_only_pictures_are_laid_out() -> None:
    engine, rows = Engine(channels_last=True), torch.randn(4, 3)
    laid = engine.laid_out({"picture": X, "row": rows, "pair": (X, [rows, None, 3])})
    assert laid["picture"].is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(laid["picture"], X)
    assert laid["row"] is rows
    assert laid["pair"][0].is_contiguous(memory_format=torch.channels_last)
    assert laid["pair"][1] == (rows, None, 3)
    assert Engine().laid_out(X) is X


# Threads, determinism, compilation


def test_threads_are_those_asked_for_and_then_those_before() -> None:
    before = settings()
    model, _ = learn(Engine(threads=2))
    assert set(model[1].threads[1:]) == {2}
    assert settings() == before


class Fails(Callback):
    def step(self, trainer: Trainer) -> None:
        raise ZeroDivisionError


@pytest.mark.parametrize(
    "engine",
    [
        Engine(threads=2),
        Engine(precision="bfloat16"),
        Engine(deterministic=True),
        Engine(compile=True),
        Engine(channels_last=True, precision="bfloat16", threads=2, compile=True, deterministic=True),
    ],
)
@pytest.mark.parametrize("fails", [True, False])
def test_all_is_as_before(engine: Engine, fails: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[nn.Module] = []

    def compile_quickly(self: nn.Module) -> None:
        compiled.append(self)
        self._compiled_call_impl = self._call_impl  # type: ignore[assignment]

    monkeypatch.setattr(nn.Module, "compile", compile_quickly)
    model, before = network(), settings(network())
    trainer = Trainer(model, Watched(), engine=engine, callbacks=[Fails()] if fails else [])
    if fails:
        with pytest.raises(ZeroDivisionError):
            trainer.fit([(X, Y)], epochs=1)
    else:
        trainer.fit([(X, Y)], epochs=1)
    assert settings(model) == before
    assert (model in compiled) == bool(engine.compile)


def test_what_the_user_compiled_stays_compiled() -> None:
    model = network()
    theirs = model._compiled_call_impl = model._call_impl  # type: ignore[assignment]
    with Engine().running(model):
        pass
    assert model._compiled_call_impl is theirs


@pytest.mark.parametrize("mode", ["off", "on", "warn"])
def test_determinism_is_as_the_user_had_it(mode: str) -> None:
    torch.use_deterministic_algorithms(mode != "off", warn_only=mode == "warn")
    try:
        before = settings()
        with Engine().running(network()):
            assert settings()[:3] == before[:3]
        with Engine(deterministic=True).running(network()):
            assert torch.are_deterministic_algorithms_enabled()
            assert not torch.is_deterministic_algorithms_warn_only_enabled()
        assert settings() == before
    finally:
        torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("precision", "float16", "engine.precision must be float32 or bfloat16, but got 'float16'"),
        ("threads", 0, "engine.threads must be at least 1, but got 0"),
        ("micro_batches", -2, "engine.micro_batches must be at least 1, but got -2"),
    ],
)
def test_what_cannot_be(field: str, value: Any, rule: str) -> None:
    with pytest.raises(InputError, match=rule):
        Engine(**{field: value})
