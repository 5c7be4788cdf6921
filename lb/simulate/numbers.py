"""Figures as people read them, the same in tables, charts and documents."""

from __future__ import annotations


def milliseconds(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def percent(part: float) -> str:
    """``part`` of 1. None at all and nearly none are not the same."""
    if not part:
        return "0"
    return f"{100 * part:.1f} %" if part >= 0.01 else f"{max(100 * part, 0.01):.2f} %"
