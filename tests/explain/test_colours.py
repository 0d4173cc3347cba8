"""The colours: readable on everything that text stands on, and the same in CSS."""

import re
from dataclasses import fields

import pytest

from minicnn.explain.readings.colours import DARK, LIGHT, Shades, contrast, css_variables
from minicnn.explain.records.panel import ROLES

ENOUGH = 4.5


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_text_is_readable_wherever_it_stands(theme):
    plain = [theme.paper, theme.raised, theme.padding, theme.hatch]
    cells = [getattr(theme.role(r), shade) for r in ROLES for shade in ("pale", "fill")]
    for background in plain + cells:
        assert contrast(theme.text, background) >= ENOUGH, background
    for background in plain + [theme.role(r).pale for r in ROLES]:
        assert contrast(theme.muted, background) >= ENOUGH, background
        assert contrast(theme.accent, background) >= ENOUGH, background
    for role in ROLES:
        for background in (theme.paper, theme.raised, theme.role(role).pale):
            assert contrast(theme.role(role).strong, background) >= ENOUGH, (role, background)


def test_outlines_are_seen_on_what_they_surround():
    # WCAG 2 asks for 3 where no text is meant.
    for theme in (LIGHT, DARK):
        for role in ROLES:
            assert contrast(theme.role(role).strong, theme.role(role).fill) >= 3
            assert contrast(theme.accent, theme.role(role).fill) >= 3


def test_roles_differ_from_each_other():
    for theme in (LIGHT, DARK):
        for shade in fields(Shades):
            assert len({getattr(theme.role(r), shade.name) for r in ROLES}) == len(ROLES)


def test_contrast_is_that_of_the_standard():
    # Pairs from the notes of WCAG 2 on the threshold, and its two ends.
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.005)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)
    assert contrast("#ff0000", "#ffffff") == contrast("#ffffff", "#ff0000")
    assert contrast("#ff0000", "#ffffff") == pytest.approx(4.0, abs=0.005)


def test_css_declares_every_colour_light_and_dark():
    css = css_variables()
    light, *dark = re.split(r"@media \(prefers-color-scheme: dark\)|:root\[data-theme", css)
    names = [f.name for f in fields(LIGHT) if f.name not in ROLES]
    names += [f"{r}-{s.name}" for r in ROLES for s in fields(Shades)]
    for part, theme in ((light, LIGHT), *((d, DARK) for d in dark)):
        declared = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", part))
        assert sorted(declared) == sorted(names)
        assert declared["input-fill"] == theme.input.fill
        assert declared["accent"] == theme.accent
    assert len(dark) == 2
    assert css.count("{") == css.count("}")
