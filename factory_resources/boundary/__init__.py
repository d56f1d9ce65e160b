"""The boundary of a process: what the kernel lets a command reach, and the report that proves it.

A command is started inside by `command`; callers use `boundary.Boundary`. Only the standard library
is imported, and little of it, because a run waits for this. Which commands belong inside is not
decided here, and neither is what the factory's own processes send (`security.offline`).
"""
