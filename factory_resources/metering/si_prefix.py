"""Write measured quantities with an SI prefix. How they are measured belongs in `meter`."""

_ROUNDED_UP = 0.9995
"""What has three digits of 1000 of a smaller prefix is 1 of the next one."""


def si_prefixed(value: float, unit: str) -> str:
    """Return three significant digits with a fitting SI prefix, such as `4.54 mWh`."""
    prefixes = {"G": 1e9, "M": 1e6, "k": 1e3, "": 1.0, "m": 1e-3, "µ": 1e-6}
    fitting = (p for p, factor in prefixes.items() if value >= factor * _ROUNDED_UP)
    prefix = next(fitting, "µ" if value else "")
    return f"{value / prefixes[prefix]:.3g} {prefix}{unit}"
