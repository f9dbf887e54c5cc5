import torch

from osler.models.googlenet import GoogLeNet
from osler.nn.auxiliary import WithAuxiliary
from osler.objectives.classification import Classification
from osler.records import Batch
from osler.training.trainer import Trainer


def test_shapes_of_the_paper() -> None:
    wanted = {"maxpool1": (64, 56, 56), "maxpool2": (192, 28, 28), "inception3a": (256, 28, 28)}
    wanted |= {"maxpool3": (480, 14, 14), "inception4a": (512, 14, 14), "inception4d": (528, 14, 14)}
    wanted |= {"maxpool4": (832, 7, 7), "inception5b": (1024, 7, 7), "aux1": (1000,), "aux2": (1000,)}
    found = {}
    with torch.device("meta"):
        model = GoogLeNet()
        for name in wanted:
            hook = lambda _m, _i, out, name=name: found.update({name: tuple(out.shape[1:])})  # noqa: E731
            model.get_submodule(name).register_forward_hook(hook)
        model(torch.zeros(2, 3, 224, 224))
    assert found == wanted


def test_heads_speak_only_while_training() -> None:
    torch.manual_seed(0)
    model, x = GoogLeNet(inputs=(1, 16, 16), outputs=3, dropout=0.0), torch.randn(4, 1, 16, 16)
    outputs = model(x)
    assert isinstance(outputs, WithAuxiliary)
    assert outputs.weight == 0.3
    assert [tuple(head.shape) for head in (outputs.logits, *outputs.auxiliary)] == [(4, 3)] * 3
    assert isinstance(model.eval()(x), torch.Tensor)


def test_without_heads_the_logits_are_the_same() -> None:
    torch.manual_seed(0)
    model = GoogLeNet(inputs=(1, 16, 16), outputs=3, dropout=0.0)
    bare = GoogLeNet(inputs=(1, 16, 16), outputs=3, dropout=0.0, auxiliary=False)
    bare.load_state_dict({key: value for key, value in model.state_dict().items() if not key.startswith("aux")})
    x = torch.randn(4, 1, 16, 16)
    assert torch.equal(bare(x), model(x).logits)


def test_the_heads_learn_with_it() -> None:
    torch.manual_seed(0)
    y = torch.arange(32) % 2
    x = torch.randn(32, 1, 16, 16) + y[:, None, None, None]
    model = GoogLeNet(inputs=(1, 16, 16), outputs=2)
    before = {key: value.clone() for key, value in model.named_parameters()}
    trainer = Trainer(model, Classification.multiclass(2), optimizer=torch.optim.Adam(model.parameters(), lr=1e-3))
    history = trainer.fit([Batch(x, y)], [Batch(x, y)], epochs=4)
    assert all(not torch.equal(value, before[key]) for key, value in model.named_parameters() if "fc" in key)
    assert history[-1]["loss/train"] < 0.6 * history[0]["loss/train"]
