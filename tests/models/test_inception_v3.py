import torch

from osler.models.inception_v3 import InceptionV3
from osler.nn.auxiliary import WithAuxiliary


def test_shapes_of_the_paper() -> None:
    wanted = {"maxpool1": (64, 73, 73), "maxpool2": (192, 35, 35), "Mixed_5d": (288, 35, 35)}
    wanted |= {"Mixed_6a": (768, 17, 17), "Mixed_6e": (768, 17, 17), "Mixed_7a": (1280, 8, 8)}
    wanted |= {"Mixed_7c": (2048, 8, 8), "AuxLogits.conv0": (128, 5, 5), "AuxLogits.conv1": (768, 1, 1)}
    found = {}
    with torch.device("meta"):
        model = InceptionV3()
        for name in wanted:
            hook = lambda _m, _i, out, name=name: found.update({name: tuple(out.shape[1:])})  # noqa: E731
            model.get_submodule(name).register_forward_hook(hook)
        outputs = model(torch.zeros(2, 3, 299, 299))
    assert found == wanted
    assert isinstance(outputs, WithAuxiliary)
    assert (outputs.weight, [tuple(head.shape) for head in outputs.auxiliary]) == (0.3, [(2, 1000)])


def test_the_head_works_on_small_pictures_too() -> None:
    with torch.device("meta"):
        model = InceptionV3(inputs=(1, 75, 75), outputs=4)
        for size in [(75, 75), (75, 320), (299, 299), (200, 310)]:
            assert model(torch.zeros(2, 1, *size)).auxiliary[0].shape == (2, 4)
        assert model.eval()(torch.zeros(2, 1, 75, 75)).shape == (2, 4)
