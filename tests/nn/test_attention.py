"""Attention: written out against torch's fused form and its modules, and where nobody may look."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from osler.errors import InputError
from osler.nn.attention import AlignmentAttention, MultiHeadAttention, attention_weights, dot_product_attention
from osler.nn.masks import causal


@pytest.mark.parametrize("mask", [None, causal(5, 7)])
def test_written_out_and_fused_are_the_same(mask):
    torch.manual_seed(0)
    q, k, v = torch.randn(2, 3, 5, 4), torch.randn(2, 3, 7, 4), torch.randn(2, 3, 7, 4)
    found, weights = dot_product_attention(q, k, v, mask)
    torch.testing.assert_close(found, F.scaled_dot_product_attention(q, k, v, attn_mask=mask))
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 3, 5))


def torchs(ours: MultiHeadAttention, width: int) -> nn.MultiheadAttention:
    theirs = nn.MultiheadAttention(width, ours.heads, batch_first=True)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([ours.query.weight, ours.key_value.weight]))
        theirs.in_proj_bias.copy_(torch.cat([ours.query.bias, ours.key_value.bias]))
    theirs.out_proj.load_state_dict(ours.output.state_dict())
    return theirs


def test_several_heads_are_torchs_module():
    torch.manual_seed(0)
    ours = MultiHeadAttention(8, heads=2)
    theirs, x, y = torchs(ours, 8), torch.randn(3, 5, 8), torch.randn(3, 4, 8)
    inside = torch.tensor([[True, True, True, True], [True, False, False, False], [True, True, False, False]])
    expected, weights = theirs(x, y, y, key_padding_mask=~inside, average_attn_weights=False)
    with attention_weights(ours) as seen:
        found = ours(x, ours.keys_values(y), inside[:, None, None])
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(seen[""], [weights])
    torch.testing.assert_close(ours(x, ours.keys_values(y), inside[:, None, None]), expected)  # nobody looks: fused
    assert len(seen[""]) == 1
    past = ours.nothing(x)
    expected, _ = theirs(x, x, x, attn_mask=~causal(5, 5))
    torch.testing.assert_close(ours(x, past=past)[0], expected)
    with attention_weights(ours) as seen:
        torch.testing.assert_close(ours(x, past=past)[0], expected)
    assert not seen[""][0].triu(1).any()


@pytest.mark.parametrize("rotary", [False, True])
@pytest.mark.parametrize("parts", [[1] * 9, [4, 5], [2, 1, 6], [9]])
def test_a_window_is_the_same_in_parts(parts, rotary):
    torch.manual_seed(0)
    attention, x = MultiHeadAttention(8, 2, rotary=rotary, window=3).double(), torch.randn(2, 9, 8).double()
    q = attention._split(attention.query(x))
    k, v = attention.keys_values(x)
    if rotary:
        from osler.nn.positions import rotate

        q, k = rotate(q), rotate(k)
    expected = attention.output(dot_product_attention(q, k, v, causal(9, 9, 3))[0].transpose(1, 2).flatten(2))
    past, found = attention.nothing(x), []
    for part in x.split(parts, dim=1):
        y, past = attention(part, past=past)
        found.append(y)
        assert past[0].shape[2] <= 2
    torch.testing.assert_close(torch.cat(found, dim=1), expected)


@torch.no_grad()
@pytest.mark.parametrize("kind", ["bahdanau", "dot", "general", "concat"])
def test_scores_of_recurrent_decoders_by_hand(kind):
    torch.manual_seed(0)
    attention = AlignmentAttention(kind, 4)
    queries, memory = torch.randn(2, 3, 4), torch.randn(2, 5, 4)
    mask = torch.tensor([[True] * 5, [True, True, False, False, False]])
    with attention_weights(attention) as seen:
        contexts = attention(queries, attention.keys(memory), memory, mask)
    [weights] = seen[""]
    assert not weights[1, :, 2:].any()
    for n in range(2):
        for t in range(3):
            scores = []
            for s in range(5 if n == 0 else 2):
                q, m = queries[n, t], memory[n, s]
                if kind == "dot":
                    scores.append(math.exp(q @ m))
                elif kind == "general":
                    scores.append(math.exp(q @ attention.keys.weight @ m))
                else:
                    inner = attention.query.weight @ q + attention.query.bias + attention.keys.weight @ m
                    scores.append(math.exp(attention.score.weight[0] @ torch.tanh(inner)))
            context = sum(score / sum(scores) * memory[n, s] for s, score in enumerate(scores))
            torch.testing.assert_close(contexts[n, t], context, rtol=1e-4, atol=1e-5)
            assert weights[n, t, : len(scores)].tolist() == pytest.approx([s / sum(scores) for s in scores], abs=1e-5)


def test_nobody_looks_after_an_error():
    attention = MultiHeadAttention(4, 1)
    with pytest.raises(RuntimeError, match="stop"), attention_weights(attention):
        raise RuntimeError("stop")
    assert attention.watch is None


def test_dropout_while_it_learns_only():
    torch.manual_seed(0)
    attention, x = MultiHeadAttention(4, 1, dropout=0.5), torch.randn(1, 6, 4)
    assert not torch.equal(attention(x), attention(x))
    assert torch.equal(attention.eval()(x), attention(x))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 10, "heads": 4}, "width=10 and heads=4"),
        ({"width": 6, "heads": 2, "rotary": True}, "must be even, but got 6 / 2"),
        ({"width": 8, "heads": 2, "dropout": 1}, "below 1"),
    ],
)
def test_refusals(options, message):
    with pytest.raises(InputError, match=message):
        MultiHeadAttention(**options)
    with pytest.raises(InputError, match="did you mean 'bahdanau'"):
        AlignmentAttention("bahdanu", 4)
