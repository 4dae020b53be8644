"""A supervisor that starts with the user's session: a unit of systemd, or an agent of launchd."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Literal

from smithers.errors import ServiceUnavailable, SmithersError
from smithers.store import project_root
from smithers.store.refusal import os_error

System = Literal["systemd", "launchd"]


def system_here(named: System | None = None) -> System:
    """What runs services on a machine of this kind."""
    return named or ("launchd" if sys.platform == "darwin" else "systemd")


@dataclass(frozen=True, slots=True)
class Service:
    """The supervisor of one store, as a service."""

    store: Path
    """Absolute."""
    system: System
    python: str = sys.executable
    path: str = os.environ.get("PATH", os.defpath)
    """Where agents' programs are looked for: services are started with a shorter one than shells have."""

    @property
    def name(self) -> str:
        """One for each store: `smithers-shop-1a2b3c4d`."""
        project = re.sub(r"[^A-Za-z0-9]+", "-", project_root(self.store).name).strip("-").lower() or "store"
        return f"smithers-{project[:40]}-{blake2b(str(self.store).encode(), digest_size=4).hexdigest()}"

    @property
    def file(self) -> Path:
        """Where the unit stands once it is installed."""
        home = Path.home()
        if self.system == "launchd":
            return home / "Library" / "LaunchAgents" / f"{self.name}.plist"
        config = os.environ.get("XDG_CONFIG_HOME")
        base = Path(config) if config else home / ".config"
        return base / "systemd" / "user" / f"{self.name}.service"

    @property
    def words(self) -> list[str]:
        return [self.python, "-m", "smithers", "supervise", "--store", str(self.store)]

    def text(self) -> str:
        """The unit."""
        return self._launchd() if self.system == "launchd" else self._systemd()

    def _systemd(self) -> str:
        folder = project_root(self.store)
        return f"""\
[Unit]
Description=Smithers goes on with the runs of {_literal(str(folder))}

[Service]
ExecStart={" ".join(_quoted(word) for word in self.words)}
WorkingDirectory={_literal(str(folder))}
Environment={_quoted(f"PATH={self.path}", is_command=False)}
# What it has started goes on when it is stopped, and is found again by the next one.
KillMode=process
Restart=on-failure
RestartSec=5
# 4: refused, and it would be again. 143: ended by SIGTERM, as `systemctl stop` does.
RestartPreventExitStatus=4
SuccessExitStatus=143

[Install]
WantedBy=default.target
"""

    def _launchd(self) -> str:
        import plistlib

        log = str(self.store.parent / "logs" / "supervise.log")
        document = {
            "Label": self.name,
            "ProgramArguments": self.words,
            "WorkingDirectory": str(project_root(self.store)),
            "EnvironmentVariables": {"PATH": self.path},
            "RunAtLoad": True,
            "KeepAlive": {"SuccessfulExit": False},
            "ThrottleInterval": 10,
            # What it has started goes on when it is stopped, and is found again by the next one.
            "AbandonProcessGroup": True,
            "StandardOutPath": log,
            "StandardErrorPath": log,
        }
        return plistlib.dumps(document).decode()

    # --- Putting it there, and taking it away -----------------------------------------------------

    def install(self) -> None:
        """Write the unit and start it, now and with every login.

        Raises:
            ServiceUnavailable: there is nothing here that runs services; nothing was written.
        """
        self._check()
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            (self.store.parent / "logs").mkdir(mode=0o700, exist_ok=True)
            self.file.write_text(self.text(), encoding="utf-8")
        except OSError as error:
            raise os_error(error, self.file) from error
        try:
            if self.system == "launchd":
                self._call("launchctl", "bootout", f"{_domain()}/{self.name}", may_fail=True)
                self._call("launchctl", "bootstrap", _domain(), str(self.file))
            else:
                self._call("systemctl", "--user", "daemon-reload")
                self._call("systemctl", "--user", "enable", self.file.name)
                # Not `enable --now`: one that runs already is to run what the unit says by now.
                self._call("systemctl", "--user", "restart", self.file.name)
        except SmithersError:
            self.file.unlink(missing_ok=True)
            raise

    def uninstall(self) -> bool:
        """Stop it and remove the unit; False: there was none. Runs that it has started go on."""
        if not self.file.exists():
            return False
        self._check()
        if self.system == "launchd":
            self._call("launchctl", "bootout", f"{_domain()}/{self.name}", may_fail=True)
        else:
            self._call("systemctl", "--user", "disable", "--now", self.file.name)
        self.file.unlink(missing_ok=True)
        if self.system == "systemd":
            self._call("systemctl", "--user", "daemon-reload")
        return True

    def _check(self) -> None:
        program = "launchctl" if self.system == "launchd" else "systemctl"
        if shutil.which(program) is None:
            raise ServiceUnavailable(f"there is no {program} here to run a service")
        if self.system == "systemd":
            self._call("systemctl", "--user", "show-environment")

    def _call(self, *words: str, may_fail: bool = False) -> None:
        done = subprocess.run(words, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        if done.returncode and not may_fail:
            said = (done.stderr or done.stdout).strip().splitlines()
            raise ServiceUnavailable(f"`{' '.join(words)}` failed: {said[-1] if said else done.returncode}")


def _domain() -> str:
    return f"gui/{os.getuid()}"


def _literal(text: str) -> str:
    """A value of a unit that is one path: systemd fills in what `%` begins, and nothing else."""
    return text.replace("%", "%%")


def _quoted(text: str, *, is_command: bool = True) -> str:
    """One word of a unit: https://www.freedesktop.org/software/systemd/man/systemd.service.html#Command%20lines"""
    text = _literal(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text.replace("$", "$$") if is_command else text}"'
