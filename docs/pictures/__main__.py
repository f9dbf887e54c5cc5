"""Makes the pictures of docs/ailments by running small sick programs beside healthy ones.

python -m docs.pictures [identifier ...]; without identifiers all of them. Each picture's caption, with the numbers that
were seen, is written into its page as well.
"""

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from docs.pictures.catalogue import PICTURES
from docs.pictures.drawing import render

PAGES = Path(__file__).resolve().parents[1] / "ailments"


def main(wanted: list[str]) -> int:
    unknown = [name for name in wanted if name not in PICTURES]
    if unknown:
        print(f"no picture of {', '.join(unknown)}; there are {', '.join(PICTURES)}", file=sys.stderr)
        return 2
    for name in wanted or PICTURES:
        data, caption = render(name)
        (PAGES / "pictures" / f"{name}.svg").write_bytes(data)
        page = PAGES / f"{name}.md"
        if page.exists():
            page.write_text(captioned(page.read_text(encoding="utf-8"), name, caption), encoding="utf-8")
        print(f"{name}: {caption}")
    return 0


def captioned(page: str, name: str, caption: str) -> str:
    """The page with this line under its picture."""
    image = rf"(!\[[^\]]*\]\(pictures/{re.escape(name)}\.svg\)\n\n)[^\n]*\n"
    return re.sub(image, lambda found: f"{found[1]}*{caption}*\n", page, count=1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
