"""Ways to leave a boundary, tried: each first without a boundary, as a control, and then inside.

All of it happens in a network namespace of its own whose every address is this machine (`outside`),
so nothing that is sent leaves. An attempt is a small function in `network`, `machine`, `files` or
`libraries`; `trial` runs them.
"""
