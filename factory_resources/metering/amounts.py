"""Write measured amounts for people. How they are measured belongs in `meter`."""


def amount(value: float, unit: str) -> str:
    """Return three significant digits with a fitting SI prefix, such as `4.54 mWh`."""
    prefixes = {"k": 1e3, "": 1.0, "m": 1e-3, "µ": 1e-6}
    prefix = next((p for p, factor in prefixes.items() if value >= factor), "µ" if value else "")
    return f"{value / prefixes[prefix]:.3g} {prefix}{unit}"
