"""The colours of all readings: one for each role, light and dark, defined here alone.

Text keeps a contrast of at least 4.5 to everything that it may stand on (WCAG 2, level AA).
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from minicnn.explain.records.panel import ROLES

__all__ = ["DARK", "LIGHT", "Shades", "Theme", "contrast", "css_variables"]


@dataclass(frozen=True)
class Shades:
    """The shades of one role.

    Args:
        pale: background of its cells.
        fill: background of cells that take part.
        strong: outlines and its name; readable as text on the paper.
    """

    pale: str
    fill: str
    strong: str


@dataclass(frozen=True)
class Theme:
    """All colours of a picture or page.

    Args:
        paper: background.
        raised: background of controls and boxes.
        text: text and numbers.
        muted: indices, notes and the numbers of padding.
        line: lines between cells.
        padding: background of cells outside their array.
        hatch: the strokes on those cells.
        accent: outline of the element in question.
        input: shades of what goes in; likewise `kernel`, `output`, `other`.
    """

    paper: str
    raised: str
    text: str
    muted: str
    line: str
    padding: str
    hatch: str
    accent: str
    input: Shades
    kernel: Shades
    output: Shades
    other: Shades

    def role(self, name: str) -> Shades:
        """Return the shades of a role."""
        shades: Shades = getattr(self, name)
        return shades


LIGHT = Theme(
    paper="#ffffff",
    raised="#f3f5f8",
    text="#1b1f24",
    muted="#59636e",
    line="#aab3bf",
    padding="#fafbfc",
    hatch="#e1e5ea",
    accent="#b3261e",
    input=Shades("#fff6de", "#ffce5c", "#875400"),
    kernel=Shades("#e9f3fb", "#93cbee", "#0b5a8f"),
    output=Shades("#e8f6eb", "#93d9a2", "#1b6b35"),
    other=Shades("#f2eefa", "#cdbcf0", "#6240a4"),
)
DARK = Theme(
    paper="#14181d",
    raised="#1f252d",
    text="#eceff3",
    muted="#a5afbb",
    line="#4b5562",
    padding="#181d23",
    hatch="#262d36",
    accent="#ff8a80",
    input=Shades("#2b2413", "#6f4f00", "#ffce5c"),
    kernel=Shades("#14263a", "#0d5585", "#93cbee"),
    output=Shades("#15291b", "#1c6336", "#93d9a2"),
    other=Shades("#251f37", "#56408f", "#cdbcf0"),
)


def contrast(first: str, second: str) -> float:
    """Return the contrast of two colours `#rrggbb`, from 1 to 21, as WCAG 2 defines it.

    >>> contrast("#000000", "#ffffff"), round(contrast("#767676", "#ffffff"), 2)
    (21.0, 4.54)
    """
    low, high = sorted((_luminance(first), _luminance(second)))
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: str) -> float:
    """Return the relative luminance of a colour: the weighted mean of its linear parts."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def css_variables() -> str:
    """Return CSS that declares all colours as variables, dark ones where the reader prefers them.

    `--text`, `--paper`, ... and for each role `--input-pale`, `--input-fill`, `--input-strong`.
    A page may fix the theme with `data-theme="light"` or `"dark"` on its root element.

    >>> css_variables().splitlines()[1]
    '  color-scheme: light;'
    """
    light, dark = _declarations(LIGHT, "light"), _declarations(DARK, "dark")
    inner = dark.replace("\n", "\n  ")
    return (
        f":root {{\n{light}\n}}\n"
        f"@media (prefers-color-scheme: dark) {{\n"
        f'  :root:not([data-theme="light"]) {{\n  {inner}\n  }}\n}}\n'
        f':root[data-theme="dark"] {{\n{dark}\n}}\n'
    )


def _declarations(theme: Theme, scheme: str) -> str:
    lines = [f"  color-scheme: {scheme};"]
    for field in fields(Theme):
        if field.name in ROLES:
            shades = theme.role(field.name)
            lines += [
                f"  --{field.name}-{shade.name}: {getattr(shades, shade.name)};"
                for shade in fields(Shades)
            ]
        else:
            lines.append(f"  --{field.name}: {getattr(theme, field.name)};")
    return "\n".join(lines)
