from osler.drawing import draw


def test_networks_of_tokens_and_of_pairs_are_drawn():
    drawing = draw("lstm", (20,), 2, {"vocabulary": 100, "bidirectional": True})
    assert [(row.kind, row.outputs) for row in drawing.layers if row.parameters] == [
        ("Embedding", (20, 128)),
        ("LSTM", (20, 256)),
        ("Linear", (2,)),
    ]
    drawing = draw("translator", (20,), 90, {"vocabulary": 100, "width": 8, "layers": 1})
    assert drawing.layers[0].parameters == 800
    assert drawing.layers[-1].outputs == (1, 90)
    assert drawing.svg().lstrip().startswith("<svg")
