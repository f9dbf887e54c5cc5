"""What a run tells while it goes on: what it found, what it chose and why, how it learns, how good it got."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from osler.folder import FINDINGS
from osler.records import Choice, Cure, Finding, Trial

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console
    from rich.progress import Progress, TaskID

    from osler.run import Run

COLOURS = {"critical": "red", "warning": "yellow"}


class Telling:
    """Tells on a console; `silent` says nothing."""

    def __init__(self, silent: bool = False):
        from rich.console import Console

        # A log file has no width of its own; long lines stay whole there.
        width = None if sys.stdout.isatty() else 160
        self.console: Console = Console(quiet=silent, width=width, soft_wrap=True, highlight=False)

    def data(self, where: str, notes: list[str]) -> None:
        self.console.print(f"[bold]Data[/bold] {_plain(where)}")
        for note in notes:
            self.console.print(f"  · {_plain(note)}")

    def note(self, text: str) -> None:
        self.console.print(f"  · {_plain(text)}")

    def text(self, text: str) -> None:
        self.console.print(f"\n{_plain(text)}")

    @contextlib.contextmanager
    def downloading(self) -> Iterator[DownloadBar | None]:
        """A bar for a download, on a terminal only."""
        if not self.console.is_terminal:
            yield None
            return
        from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

        with Progress(
            DownloadColumn(), BarColumn(), TimeRemainingColumn(), console=self.console, transient=True
        ) as bar:
            yield DownloadBar(bar)

    def resuming(self, place: Path) -> None:
        self.console.print(f"[bold]Resuming[/bold] {_plain(str(place))}")

    def choices(self, choices: list[Choice]) -> None:
        from rich.table import Table

        table = Table("", "chosen", "why", box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        for choice in choices:
            table.add_row(choice.what, _plain(choice.chosen), f"[dim]{_plain(choice.why)}[/dim]")
        self.console.print()
        self.console.print(table)
        self.console.print()

    def result(self, run: Run) -> None:
        numbers = "  ".join(f"{name} {value:.4g}" for name, value in run.metrics.items())
        self.console.print()
        if run.record["reason"]:
            self.note(run.record["reason"])
        self.console.print(f"[bold]{run.status.capitalize()}[/bold] in {run.record['seconds']:.1f} s{_best(run)}")
        self.console.print(f"[bold]Held out[/bold] ({run.judged['count']} samples never learned from)  {numbers}")
        if baselines := run.record.get("baselines"):
            told = [f"{name} {b['rmse']:.4g} (skill {b['skill'] or 0:.2f})" for name, b in baselines.items()]
            self.console.print(f"[bold]Baselines[/bold] rmse of {', of '.join(told)}")
        self.findings(run.findings, watched=(run.folder / FINDINGS).exists())
        self.console.print(f"[bold]Report[/bold] {_plain(str(run.folder / 'report.html'))}")

    def trial(self, trial: Trial) -> None:
        """A cure that was tried, in a line."""
        change = ", ".join(f"{key}={'advised' if value is None else value}" for key, value in trial.settings.items())
        course = f"{trial.measure} {trial.before:.4g} → {trial.after:.4g}"
        mark = "[green]kept[/green]" if trial.kept else "left"
        self.console.print(
            f"[bold]Cure[/bold] {_plain(trial.title)} ({_plain(change)}) for {trial.ailment}: "
            f"validation {course}, {mark}, {trial.seconds:.1f} s"
        )

    def findings(self, found: Sequence[Finding], watched: bool) -> None:
        """The loud findings in short, causes only, each with its first cure."""
        causes = [f for f in found if f.severity != "hint" and not f.because]
        if watched and not causes:
            self.console.print("[bold]Doctor[/bold] nothing wrong was found")
        for f in causes:
            follows = ", ".join(g.ailment for g in found if g.because == f.ailment)
            self.console.print(
                f"[bold]Doctor[/bold] [{COLOURS[f.severity]}]{f.severity}: {f.ailment}[/] {_plain(f.explanation)}"
                + (f" Hence {follows}." if follows else "")
            )
            if f.cures:
                self.console.print(f"       Cure: {_plain(f.cures[0].title)}{_plain(as_options(f.cures[0]))}")


class DownloadBar:
    """rich's bar, as pooch moves it; it shows up with the first bytes."""

    def __init__(self, bar: Progress):
        self.bar = bar
        self.total = 0  # which pooch sets to the size of the file
        self.task: TaskID | None = None

    def update(self, size: int) -> None:
        self.task = self.bar.add_task("", total=self.total or None) if self.task is None else self.task
        self.bar.advance(self.task, size)

    def reset(self) -> None:
        if self.task is not None:
            self.bar.reset(self.task)

    def close(self) -> None:
        """The context ends the bar."""


def _best(run: Run) -> str:
    best, last = run.record["best_epoch"], run.record["epochs"]
    return f"; weights of epoch {best} of {last}" if best is not None and best != last else ""


def as_options(cure: Cure) -> str:
    """What a cure changes, as options of a command; "" where a recipe has no such thing."""
    return "".join(f" --set {key}={value}" for key, value in cure.settings.items())


def _plain(text: str) -> str:
    """Text of strangers must not be taken for markup."""
    from rich.markup import escape

    return escape(text)
