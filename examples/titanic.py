"""A table from end to end: `python examples/titanic.py train.csv [new.csv]` with the passengers of the Titanic.

What was chosen and why is printed; the report is in the run folder.
"""

import sys

import osler


def main(train: str, new: str | None = None) -> None:
    run = osler.train(train, target="Survived", seed=0)
    print(run.history.tail(3).to_string(index=False))
    if new is not None:
        notes: list[str] = []
        print(run.predict(new, notes).head())
        print(*notes, sep="\n")


if __name__ == "__main__":
    main(*sys.argv[1:3])
