"""A layer against torch's layers, with copied weights."""

import pytest
import torch
from torch import nn

from osler.errors import InputError
from osler.nn.attention import MultiHeadAttention
from osler.nn.masks import causal
from osler.nn.transformer import TransformerLayer


def copy_attention(ours: MultiHeadAttention, theirs: nn.MultiheadAttention) -> None:
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([ours.query.weight, ours.key_value.weight]))
        theirs.in_proj_bias.copy_(torch.cat([ours.query.bias, ours.key_value.bias]))
    theirs.out_proj.load_state_dict(ours.output.state_dict())


def torchs(ours: TransformerLayer, norm: str, decodes: bool) -> nn.Module:
    kind = nn.TransformerDecoderLayer if decodes else nn.TransformerEncoderLayer
    theirs = kind(8, 2, 16, dropout=0, activation="gelu", batch_first=True, norm_first=norm == "pre")
    copy_attention(ours.attention, theirs.self_attn)
    theirs.linear1.load_state_dict(ours.dense[0].state_dict())
    theirs.linear2.load_state_dict(ours.dense[2].state_dict())
    theirs.norm1.load_state_dict(ours.attention_norm.state_dict())
    (theirs.norm3 if decodes else theirs.norm2).load_state_dict(ours.dense_norm.state_dict())
    if decodes:
        copy_attention(ours.memory_attention, theirs.multihead_attn)
        theirs.norm2.load_state_dict(ours.memory_norm.state_dict())
    return theirs


def drawn(ours: nn.Module) -> nn.Module:
    """Scales and shifts that are not 1 and 0."""
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return ours


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_an_encoder_is_torchs(norm):
    torch.manual_seed(0)
    ours = drawn(TransformerLayer(8, 2, hidden=16, norm=norm))
    theirs, x = torchs(ours, norm, decodes=False), torch.randn(3, 5, 8)
    inside = torch.arange(5) < torch.tensor([[5], [2], [3]])
    expected = theirs(x, src_key_padding_mask=~inside)
    found = ours(x, inside[:, None, None])
    torch.testing.assert_close(found[inside], expected[inside], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_a_decoder_is_torchs(norm):
    torch.manual_seed(0)
    ours = drawn(TransformerLayer(8, 2, hidden=16, norm=norm, remembers=True))
    theirs, x, memory = torchs(ours, norm, decodes=True), torch.randn(3, 5, 8), torch.randn(3, 4, 8)
    inside = torch.arange(4) < torch.tensor([[4], [2], [3]])
    expected = theirs(x, memory, tgt_mask=~causal(5, 5), memory_key_padding_mask=~inside)
    past = ours.attention.nothing(x)
    found, _, kept = ours(x, inside[:, None, None], past=past, memory=memory)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    found, _, _ = ours(x, inside[:, None, None], past=past, memory=kept)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_refusals():
    with pytest.raises(InputError, match="unknown place of the norm 'before'"):
        TransformerLayer(8, 2, norm="before")
    with pytest.raises(InputError, match="did you mean 'relu'"):
        TransformerLayer(8, 2, activation="rellu")
