from xml.etree import ElementTree

from osler.report.alignment import alignment_svg


def test_a_cell_for_each_pair_shaded_by_its_share_and_strangers_words_escaped():
    drawn = alignment_svg(["<b>", "zwei", " "], ["two", "(end)"], [[0.1, 0.8, 0.1], [0.0, 0.0, 1.0]])
    root = ElementTree.fromstring(drawn)
    cells = [e for e in root.iter("{http://www.w3.org/2000/svg}rect") if e.get("class") == "mark"]
    shades = [float(cell.get("fill-opacity")) for cell in cells]
    assert len(shades) == 6
    assert shades.index(max(shades)) == 5
    assert shades[1] > shades[0]
    assert "two looked at zwei: 80%" in drawn
    assert "␣" in drawn
    assert "<b>" not in drawn.replace("&lt;b&gt;", "")
