"""The confusion matrix as a heat-map: how often each class (row) was taken for each class (column)."""

from collections.abc import Sequence

from osler.report.words import escaped, grouped, places, shortened

MOST = 100  # classes that a heat-map can show; beyond, the most frequent confusions say more

STRONG = 0.66  # of a row: from here on the shade needs the other ink


def heat_map(classes: Sequence[str], counts: Sequence[Sequence[int]]) -> str:
    """SVG in the page's colours: shade is the share of the row, right answers in one colour and errors in another."""
    n = len(counts)
    cell, size = (46, 13) if n <= 12 else (30, 10) if n <= 30 else (16, 9)
    letters = 16
    label = 12 + 7 * max(places(shortened(c, letters)) for c in classes)
    upright = label <= cell  # names that are short enough need not be turned
    left, top = label + 22, (44 if upright else label + 26)
    width, height = left + n * cell + 58, top + n * cell + 8
    parts = [
        f'<text class="axis" x="{left + n * cell / 2:.0f}" y="14" text-anchor="middle">predicted</text>',
        f'<text class="axis" transform="translate(13 {top + n * cell / 2:.0f}) rotate(-90)" text-anchor="middle">'
        "true</text>",
        f'<text class="axis" x="{left + n * cell + 10}" y="{top - 8}">recall</text>',
        f'<rect class="frame" x="{left}" y="{top}" width="{n * cell}" height="{n * cell}"/>',
    ]
    for i, (name, row) in enumerate(zip(classes, counts, strict=True)):
        middle = (i + 0.5) * cell
        text = escaped(shortened(name, letters))
        place = f'x="{left + middle:.1f}" y="{top - 8}" text-anchor="middle"'
        if not upright:
            place = f'transform="translate({left + middle + 4:.1f} {top - 8}) rotate(-90)"'
        parts.append(
            f'<g class="label"><title>{escaped(name)}</title>'
            f'<text x="{left - 8}" y="{top + middle + 4:.1f}" text-anchor="end">{text}</text>'
            f"<text {place}>{text}</text></g>"
        )
        total = sum(row)
        if total:
            recall = f"{100 * row[i] / total:.0f}\u202f%"
            parts.append(f'<text x="{left + n * cell + 10}" y="{top + middle + 4:.1f}">{recall}</text>')
        for j, count in enumerate(row):
            if not count:
                continue
            share = count / total
            kind = ("right" if i == j else "wrong") + (" strong" if share > STRONG else "")
            x, y = left + j * cell, top + i * cell
            shown = ""
            # A number that does not fit is in the hint.
            if len(str(count)) * size * 0.62 <= cell - 2:
                shown = f'<text x="{x + cell / 2:.0f}" y="{y + cell / 2 + size * 0.36:.1f}">{count}</text>'
            hint = escaped(f"{name} taken for {classes[j]}: {grouped(count)} of {grouped(total)}")
            parts.append(
                f'<g class="cell {kind}"><title>{hint}</title><rect x="{x + 0.5}" y="{y + 0.5}" width="{cell - 1}" '
                f'height="{cell - 1}" fill-opacity="{0.12 + 0.88 * share:.2f}"/>{shown}</g>'
            )
    right = sum(row[i] for i, row in enumerate(counts))
    label_text = f"Confusion matrix of {n} classes: {right} of {sum(map(sum, counts))} right"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="confusion" role="img" aria-label="{label_text}" '
        f'width="{width}" height="{height}" viewBox="0 0 {width} {height}" style="--size:{size}px">'
        f"{''.join(parts)}</svg>"
    )


def most_confused(classes: Sequence[str], counts: Sequence[Sequence[int]], most: int = 8) -> list[tuple[str, str, int]]:
    """The most frequent errors: (true class, predicted class, how often)."""
    errors = [
        (classes[i], classes[j], count)
        for i, row in enumerate(counts)
        for j, count in enumerate(row)
        if i != j and count
    ]
    return sorted(errors, key=lambda e: -e[2])[:most]
