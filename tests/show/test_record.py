import json

from osler.show.catalogue import asked
from osler.show.plot import plot
from osler.show.record import record


def test_every_record_is_plain_json(entry, plots):
    read = json.loads(json.dumps(record(entry, plots[entry.kind, entry.name]), allow_nan=False))
    assert (read["kind"], read["name"], read["summary"]) == (entry.kind, entry.name, entry.summary)
    assert read["options"].keys() == entry.options.keys()
    assert (read["plot"] is None) == (plots[entry.kind, entry.name] is None)


def test_record_has_the_numbers_of_the_picture():
    [entry] = asked(["relu"])
    value, derivative = record(entry, plot(entry, {}))["plot"]["panels"]
    assert value["y"] == [max(x, 0) for x in value["x"]]
    assert derivative["y"] == [float(x > 0) for x in derivative["x"]]


def test_a_loss_without_end_is_null():
    [entry] = asked(["sgd"])
    ravine = record(entry, plot(entry, {"lr": 1.0}))["plot"]["panels"][0]
    assert ravine["losses"][-1] is None
    assert ravine["surface"]["name"] == "ravine"
