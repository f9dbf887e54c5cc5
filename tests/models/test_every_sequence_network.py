"""What every network for sequences does, whoever adds one: it is found by itself in the table of networks."""

import copy
import inspect
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_model, save_model
from torch import Tensor, nn

from osler.doctor.doctor import Doctor
from osler.errors import InputError
from osler.models import MODELS

VOCABULARY, OUTPUTS, LENGTH, FEATURES = 13, 6, 12, 3
# Small ones, so that many can be tried.
SMALL: dict[str, dict[str, Any]] = {
    "elman": {"width": 8, "hidden": 8},
    "lstm": {"width": 8, "hidden": 8},
    "gru": {"width": 8, "hidden": 8},
    "bag_of_embeddings": {"width": 8},
    "textcnn": {"width": 8, "maps": 5},
    "conv1d": {"width": 8},
    "fcn": {"width": 4},
    "transformer": {"width": 8, "heads": 2},
    "gpt": {"width": 8, "heads": 2, "layers": 2},
    "lstm_lm": {"width": 8, "hidden": 8},
    "seq2seq": {"width": 8, "hidden": 8},
    "translator": {"width": 8, "heads": 2, "layers": 2},
}
# Options that change how a sequence is read.
VARIANTS: dict[str, list[dict[str, Any]]] = {
    "elman": [{"activation": "relu", "layers": 2}, {"layer_norm": True, "bidirectional": True}],
    "lstm": [
        *({"pool": pool, "bidirectional": both} for pool in ("last", "mean", "max") for both in (False, True)),
        *({"every": True, "bidirectional": True, "layers": 2}, {"peephole": True, "layer_norm": True}),
    ],
    "gru": [{"pool": "last", "bidirectional": True, "layers": 2}, {"layer_norm": True}],
    "conv1d": [{"pool": "last"}, {"pool": "max", "kernel": 2}, {"every": True}],
    "transformer": [
        *({"positions": "learned", "pool": "cls"}, {"positions": "rotary", "norm": "post"}),
        {"pool": "cls", "norm": "post"},
    ],
    "gpt": [{"positions": "learned"}, {"positions": "sinusoidal", "norm": "post"}, {"tie": False}],
    "lstm_lm": [{"cell": "gru", "layers": 2}, {"cell": "elman", "tie": False, "hidden": 6}],
    "seq2seq": [
        *({"attention": kind} for kind in ("none", "dot", "general", "concat")),
        *({"cell": "lstm", "layers": 2}, {"cell": "lstm", "attention": "dot", "bidirectional": False}),
        {"cell": "elman"},
    ],
    "translator": [{"positions": "learned", "norm": "post"}, {"positions": "rotary", "tie": False}],
}


def takes(name: str, inputs: tuple[int, ...], **options: Any) -> bool:
    """Whether a network takes such inputs, and says so of others."""
    if "vocabulary" in options and "vocabulary" not in inspect.signature(MODELS[name]).parameters:
        return False
    try:
        MODELS.create(name, inputs=inputs, outputs=OUTPUTS, **options, **SMALL.get(name, {}))
    except InputError:
        return False
    return name not in ("linear", "perceptron", "mlp")  # which take anything


TOKENS = [name for name in MODELS if takes(name, (LENGTH,), vocabulary=OUTPUTS)]
NUMBERS = [name for name in MODELS if takes(name, (LENGTH, FEATURES))]
LANGUAGE = [name for name in TOKENS if not takes(name, (LENGTH,), vocabulary=VOCABULARY)]


def is_of_pairs(name: str) -> bool:
    model = MODELS.create(name, inputs=(LENGTH,), outputs=OUTPUTS, vocabulary=OUTPUTS, **SMALL[name])
    return "target" in inspect.signature(model.forward).parameters


PAIRS = [name for name in TOKENS if is_of_pairs(name)]
CASES = [
    (kind, name, options)
    for kind, names in (("tokens", TOKENS), ("numbers", NUMBERS))
    for name in names
    for options in ({}, *VARIANTS.get(name, []))
]


def build(kind: str, name: str, options: dict[str, Any]) -> nn.Module:
    torch.manual_seed(0)
    inputs = (LENGTH,) if kind == "tokens" else (LENGTH, FEATURES)
    words = {"vocabulary": OUTPUTS if name in LANGUAGE else VOCABULARY} if kind == "tokens" else {}
    return MODELS.create(name, inputs=inputs, outputs=OUTPUTS, **words, **{**SMALL.get(name, {}), **options}).eval()


def rows(kind: str, name: str, lengths: list[int], width: int = LENGTH, seed: int = 0) -> tuple[Tensor, ...]:
    """What a network is called with: sequences of these lengths, padded to a width."""
    draw = torch.Generator().manual_seed(seed)
    if kind == "numbers":
        return (torch.randn(len(lengths), width, FEATURES, generator=draw),)
    own = torch.arange(width) < torch.tensor(lengths).unsqueeze(1)
    x = torch.randint(1, OUTPUTS, (len(lengths), width), generator=draw) * own
    return (x, torch.randint(1, OUTPUTS, (len(lengths), 5), generator=draw)) if name in PAIRS else (x,)


def test_the_table_has_them_all() -> None:
    assert set(SMALL) <= {*TOKENS, *NUMBERS}
    assert {"dlinear", "nlinear", "conv1d", "lstm", "transformer"} <= set(NUMBERS)
    assert LANGUAGE == ["gpt", "lstm_lm"]
    assert PAIRS == ["seq2seq", "translator"]


@pytest.mark.parametrize(("kind", "name", "options"), CASES)
def test_shapes_gradients_and_a_file_of_weights(kind: str, name: str, options: dict[str, Any], tmp_path) -> None:
    model, given_ = build(kind, name, options), rows(kind, name, [LENGTH, 3, LENGTH, 7])
    logits = model.train()(*given_)
    place = (5,) if name in PAIRS else (LENGTH,) if name in LANGUAGE or options.get("every") else ()
    assert logits.shape == (4, *place, OUTPUTS)
    logits.square().sum().backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key
        assert parameter.grad.any(), key
    save_model(model, tmp_path / "model.safetensors")
    other = build(kind, name, options)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(1)
    load_model(other, tmp_path / "model.safetensors")
    assert torch.equal(other.eval()(*given_), model.eval()(*given_))


@pytest.mark.parametrize(("kind", "name", "options"), CASES)
def test_bfloat16_gives_about_the_same(kind: str, name: str, options: dict[str, Any]) -> None:
    model, given_ = build(kind, name, options), rows(kind, name, [LENGTH, 3])
    with torch.no_grad():
        expected = model(*given_)
        with torch.autocast("cpu", torch.bfloat16):
            low = model(*given_)
        halved = copy.deepcopy(model).bfloat16()(*(x.bfloat16() if x.is_floating_point() else x for x in given_))
    assert halved.dtype == torch.bfloat16
    for found in (low, halved):
        assert (found.float() - expected).norm() < 0.1 * expected.norm()


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, name, options in CASES if not options])
def test_its_size_can_be_told_without_numbers(kind: str, name: str) -> None:
    with torch.device("meta"):
        outline = build(kind, name, {}).state_dict()
    assert {k: v.shape for k, v in outline.items()} == {
        k: v.shape for k, v in build(kind, name, {}).state_dict().items()
    }


@pytest.mark.parametrize(("name", "options"), [(name, options) for kind, name, options in CASES if kind == "tokens"])
def test_padding_never_changes_the_result(name: str, options: dict[str, Any]) -> None:
    model = build("tokens", name, options)

    @settings(max_examples=8)
    @given(lengths=st.lists(st.integers(1, 8), min_size=1, max_size=4), more=st.integers(0, 4), seed=st.integers(0, 99))
    def alone_and_in_a_batch(lengths: list[int], more: int, seed: int) -> None:
        x, *targets = rows("tokens", name, lengths, max(lengths) + more, seed)
        with torch.no_grad():
            together = model(x, *targets)
            for row, length in enumerate(lengths):
                alone = model(x[row : row + 1, :length], *(t[row : row + 1] for t in targets))[0]
                found = together[row, :length] if alone.ndim == 2 and not targets else together[row]
                torch.testing.assert_close(found, alone, rtol=1e-4, atol=1e-5)

    alone_and_in_a_batch()


@pytest.mark.parametrize(
    ("name", "options"),
    [
        (name, options)
        for kind, name, options in CASES
        if kind == "numbers" and "lengths" in inspect.signature(build(kind, name, options).forward).parameters
    ],
)
def test_numbers_after_the_length_do_not_count(name: str, options: dict[str, Any]) -> None:
    model, lengths = build("numbers", name, options), torch.tensor([LENGTH, 4, 1])
    [x] = rows("numbers", name, [LENGTH] * 3)
    with torch.no_grad():
        together = model(x, lengths=lengths)
        for row, length in enumerate(lengths.tolist()):
            alone = model(x[row : row + 1, :length])[0]
            found = together[row, :length] if alone.ndim == 2 else together[row]
            torch.testing.assert_close(found, alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", sorted({*TOKENS, *NUMBERS}))
def test_a_row_without_tokens_gives_numbers_and_a_batch_in_any_order_the_same(name: str) -> None:
    kind = "tokens" if name in TOKENS else "numbers"
    model, given_ = build(kind, name, {}), rows(kind, name, [0, 5, LENGTH])
    order = torch.tensor([2, 0, 1])
    with torch.no_grad():
        logits = model(*given_)
        assert logits.isfinite().all()
        torch.testing.assert_close(model(*(x[order] for x in given_)), logits[order])


@pytest.mark.parametrize("name", LANGUAGE)
def test_a_language_model_goes_on_from_its_state(name: str) -> None:
    for options in ({}, *VARIANTS[name]):
        model = build("tokens", name, options)
        [tokens] = rows("tokens", name, [LENGTH] * 3)
        whole = model(tokens)
        state, parts = model.begin(3), []
        for part in tokens.split([1, 1, 4, 1, 5], dim=1):
            logits, state = model(part, state)
            parts.append(logits)
        torch.testing.assert_close(torch.cat(parts, dim=1), whole, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", PAIRS)
def test_a_translator_goes_on_from_its_state(name: str) -> None:
    for options in ({}, *VARIANTS[name]):
        model = build("tokens", name, options)
        source, target = rows("tokens", name, [LENGTH, 4, 7])
        state, parts = model.encode(source), []
        for part in target.split([1, 1, 3], dim=1):
            logits, state = model.step(part, state)
            parts.append(logits)
        torch.testing.assert_close(torch.cat(parts, dim=1), model(source, target), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", [*LANGUAGE, *PAIRS])
@pytest.mark.parametrize("place", [0, 2, 4])
def test_what_comes_later_changes_nothing_before(name: str, place: int) -> None:
    for options in ({}, *VARIANTS[name]):
        model = build("tokens", name, options)
        *source, tokens = rows("tokens", name, [5] * 3, width=5)
        other = tokens.clone()
        other[:, place] = other[:, place] % (OUTPUTS - 1) + 1
        before, after = model(*source, tokens), model(*source, other)
        assert torch.equal(before[:, :place], after[:, :place])
        assert not torch.allclose(before[:, place], after[:, place])


@pytest.mark.parametrize("name", sorted({*TOKENS, *NUMBERS}))
def test_other_inputs_are_refused_with_an_example(name: str) -> None:
    for inputs in [(3, 32, 32), (0,), (0, 3), ()]:
        with pytest.raises(InputError, match=rf"{name} takes .*example"):
            MODELS.create(name, inputs=inputs, outputs=OUTPUTS)
    if name not in LANGUAGE:
        with pytest.raises(InputError, match=rf"{name} takes .*example"):
            MODELS.create(name, inputs=(LENGTH,), outputs=OUTPUTS)
    inputs = (LENGTH,) if name in TOKENS else (LENGTH, FEATURES)
    with pytest.raises(InputError, match=f"{name}: outputs must be at least 1, but got 0"):
        MODELS.create(
            name, inputs=inputs, outputs=0, **({"vocabulary": 9} if name in TOKENS and name not in LANGUAGE else {})
        )


@pytest.mark.parametrize(
    ("kind", "name"),  # those with a place for each token have objectives of their own
    [(kind, name) for kind, name, options in CASES if not options and name not in (*LANGUAGE, *PAIRS)],
)
def test_the_doctor_finds_a_new_one_healthy(kind: str, name: str) -> None:
    torch.manual_seed(0)
    model = build(kind, name, {}).train()
    [x] = rows(kind, name, [LENGTH] * 32)
    forecast = name in ("dlinear", "nlinear")
    y = torch.randn(32, OUTPUTS) if forecast else torch.arange(32) % OUTPUTS
    loss = nn.MSELoss() if forecast else nn.CrossEntropyLoss()
    diagnosis = Doctor(model, None, loss).examine(train=(x, y))
    assert [str(finding) for finding in diagnosis if finding.severity == "critical"] == []
