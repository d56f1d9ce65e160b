"""The text of systemd's units: `factory up`, and timers for backups, witnesses, garbage and a look.

Where they are written belongs in `install`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from factory_resources.errors import SettingError

HEADER = "# Written by `factory install-service`; change it with `systemctl edit`.\n"

BACKUP_TIMER, WITNESS_TIMER = "factory-backup.timer", "factory-witness.timer"
"""The timers that are there only if they are asked for."""

_DOCUMENTATION = (
    "Documentation=https://www.freedesktop.org/software/systemd/man/systemd.service.html"
)

_ANYBODY = """\
NoNewPrivileges=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallArchitectures=native
SystemCallFilter=~@clock @cpu-emulation @module @obsolete @raw-io @reboot @swap
UMask=0077
"""
"""What holds without rights of the administrator, too."""

_SYSTEM = """\
ProtectSystem=strict
ProtectHome=read-only
PrivateTmp=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelModules=yes
KeyringMode=private
RemoveIPC=yes
CapabilityBoundingSet=
AmbientCapabilities=
"""
"""Runs may be sealed in namespaces of their own with a /proc of their own, which the kernel refuses
if this one is covered: hence no RestrictNamespaces, ProtectProc, ProtectKernelTunables and
ProtectKernelLogs. The devices of accelerators stay, hence no PrivateDevices."""


@dataclass(frozen=True)
class Service:
    """What the units are about."""

    command: tuple[str, ...]
    """How `factory` is started."""
    options: tuple[str, ...]
    """Of `factory up`."""
    environment: Mapping[str, str]
    home: Path
    user: str | None
    """Whose processes they are, for units of the system; None for units of one's own."""
    backups: Path | None
    """Where backups go; None for no backups."""
    witnesses: Path | None
    """Where files are exchanged with witnesses; None for nowhere."""

    @property
    def folders(self) -> list[Path]:
        """The folders in which it writes."""
        return [path for path in (self.home, self.backups, self.witnesses) if path]


def units(service: Service) -> dict[str, str]:
    """Return the content of each unit by its file name."""
    found = {"factory.service": _up(service)}
    for name, words, when, arguments in _timed(service):
        found[f"factory-{name}.service"] = _once(service, words, arguments)
        found[f"factory-{name}.timer"] = _timer(words, when)
    return found


def timers(service: Service) -> list[str]:
    """Return the names of the timers."""
    return [f"factory-{name}.timer" for name, *_ in _timed(service)]


def _timed(service: Service) -> Iterator[tuple[str, str, str, Sequence[str]]]:
    if service.backups:
        words = "Back up the factory"
        yield "backup", words, "*-*-* 04:00:00", ("backup", "--keep", "14", str(service.backups))
    if service.witnesses:
        words = "Exchange checkpoints of the factory with its witnesses"
        yield "witness", words, "hourly", ("ledger", "exchange", str(service.witnesses))
    words = "Remove files of the factory that nothing needs"
    yield "gc", words, "Sun *-*-* 05:00:00", ("gc", "--apply")
    words = "See whether the factory needs a person"
    yield "status", words, "*-*-* 07:00:00", ("status",)


def _up(service: Service) -> str:
    # What it fails for may pass by itself, at an hour when nobody is there to start it again: a
    # database that is away, a full disk. So it is started again however often it failed.
    return (
        f"{HEADER}[Unit]\nDescription=The AI factory: pages, schedules and predictions\n"
        f"{_DOCUMENTATION}\nAfter=network.target postgresql.service\n"
        "StartLimitIntervalSec=0\n\n"
        f"[Service]\nType=exec\n{_start(service, ('up', *service.options))}"
        "Restart=on-failure\nRestartSec=30\nKillMode=mixed\nTimeoutStopSec=60\n"
        f"{_sandbox(service)}\n"
        f"[Install]\nWantedBy={'multi-user.target' if service.user else 'default.target'}\n"
    )


def _once(service: Service, words: str, arguments: Sequence[str]) -> str:
    return (
        f"{HEADER}[Unit]\nDescription={words}\n{_DOCUMENTATION}\n\n"
        f"[Service]\nType=oneshot\n{_start(service, arguments)}Nice=10\nIOSchedulingClass=idle\n"
        f"{_sandbox(service)}"
    )


def _timer(words: str, when: str) -> str:
    return (
        f"{HEADER}[Unit]\nDescription={words}, at its time\n{_DOCUMENTATION}\n\n"
        f"[Timer]\nOnCalendar={when}\nPersistent=yes\nRandomizedDelaySec=10min\n\n"
        "[Install]\nWantedBy=timers.target\n"
    )


def _start(service: Service, arguments: Sequence[str]) -> str:
    words = " ".join(_quoted(word).replace("$", "$$") for word in (*service.command, *arguments))
    variables = {**service.environment, "FACTORY_HOME": str(service.home)}
    lines = [f"Environment={_quoted(f'{name}={value}')}" for name, value in variables.items()]
    # Libraries keep caches, and the rest of the file system may be read only.
    cache = 'Environment="XDG_CACHE_HOME=%C/factory" "MPLCONFIGDIR=%C/factory"'
    user = [f"User={service.user}"] if service.user else []
    return "\n".join([f"ExecStart={words}", *lines, cache, "CacheDirectory=factory", *user, ""])


def _sandbox(service: Service) -> str:
    if service.user is None:
        return _ANYBODY
    places = " ".join(_quoted(str(path)) for path in service.folders)
    return f"{_ANYBODY}{_SYSTEM}ReadWritePaths={places}\n"


def _quoted(word: str) -> str:
    """Return a word as systemd reads it back, in which `%` begins a specifier.

    Raises:
        SettingError: a line cannot have it.
    """
    if not word.isprintable():
        raise SettingError(f"a unit cannot have {word!r}", remedy="leave out what is unprintable")
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"'
