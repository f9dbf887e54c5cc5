"""The activations of a traced pass: which units are dead for every sample, which are saturated."""

from __future__ import annotations

from osler.doctor.graph import Graph
from osler.doctor.trace import Unit

DEAD = 1e-8
AT_BOUND = 0.99
STILL = 0.1  # of its largest value, by which a unit varies at most that gets the same for every sample


def units_of(graph: Graph) -> list[Unit]:
    """One record for each rectifier, sigmoid and tanh inside the network; the graph must hold its values."""
    outputs = {graph.root(source) for source in graph.outputs}
    found = []
    for op in graph.forward():
        name, value = op.activation, op.value
        if name not in ("relu", "sigmoid", "tanh") or value is None or value.dim() < 2 or not op.inputs:
            continue
        if not value.is_floating_point():
            continue
        layer = graph.layer_before(op)
        axis = 1 if value.dim() > 2 and layer is not None and layer.name.startswith("conv") else value.dim() - 1
        unit = Unit(op.module, graph.around(op), name, op.line, units=value.shape[axis], final=op.index in outputs)
        if name == "relu":
            others = [d for d in range(value.dim()) if d != axis]
            largest = value.amax(others)
            unit.dead = float((largest <= DEAD).float().mean())
            moving = largest - value.amin(others) > STILL * largest
            unit.still = bool((largest > DEAD).any()) and not bool(moving.any())
        else:
            far = (2 * value - 1).abs() if name == "sigmoid" else value.abs()
            unit.saturated = float((far > AT_BOUND).float().mean())
        found.append(unit)
    return found
