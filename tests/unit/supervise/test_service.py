"""A supervisor as a service: what the units say, and how they are put in place."""

from __future__ import annotations

import os
import plistlib
import shutil
import subprocess
from configparser import RawConfigParser
from pathlib import Path

import pytest

from smithers.errors import ServiceUnavailable
from smithers.supervise.service import Service

STRANGE = "/srv/a project 100%/.smithers/smithers.db"

FAKE = """#!/bin/sh
echo "$(basename "$0") $*" >> "$HOME/calls"
test ! -e "$HOME/refuse"
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own, and programs that only note how they were called."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("systemctl", "launchctl"):
        (programs / name).write_text(FAKE)
        (programs / name).chmod(0o755)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    (tmp_path / "shop" / ".smithers").mkdir(parents=True)
    return tmp_path


def calls(home: Path) -> list[str]:
    path = home / "calls"
    return path.read_text().splitlines() if path.exists() else []


def test_a_unit_of_systemd_keeps_what_it_has_started_and_finds_agents() -> None:
    text = Service(Path(STRANGE), "systemd", "/usr/bin/python3", "/opt/agents:/usr/bin").text()
    unit = RawConfigParser()
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(text)
    service = unit["Service"]
    assert service["ExecStart"] == (
        '"/usr/bin/python3" "-m" "smithers" "supervise" "--store" '
        '"/srv/a project 100%%/.smithers/smithers.db"'
    )
    assert service["WorkingDirectory"] == "/srv/a project 100%%"
    assert service["Environment"] == '"PATH=/opt/agents:/usr/bin"'
    assert (service["KillMode"], service["Restart"]) == ("process", "on-failure")
    assert unit["Install"]["WantedBy"] == "default.target"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here")
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    folder = tmp_path / 'a "project" $1 100%' / ".smithers"
    folder.mkdir(parents=True)
    service = Service(folder / "smithers.db", "systemd")
    file = tmp_path / f"{service.name}.service"
    file.write_text(service.text())
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--user", str(file)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)},
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_an_agent_of_launchd_says_the_same() -> None:
    service = Service(Path(STRANGE), "launchd", "/usr/bin/python3", "/opt/agents:/usr/bin")
    found = plistlib.loads(service.text().encode())
    assert found["Label"] == service.name
    assert found["ProgramArguments"] == service.words
    assert found["ProgramArguments"][-1] == STRANGE
    assert found["EnvironmentVariables"] == {"PATH": "/opt/agents:/usr/bin"}
    assert (found["RunAtLoad"], found["AbandonProcessGroup"]) == (True, True)
    assert found["KeepAlive"] == {"SuccessfulExit": False}


def test_each_store_has_a_service_of_its_own() -> None:
    names = {Service(Path(f"/{where}/shop/.smithers/smithers.db"), "systemd").name for where in "ab"}
    assert len(names) == 2
    assert all(name.startswith("smithers-shop-") for name in names)


def test_it_is_installed_started_and_removed(home: Path) -> None:
    service = Service(home / "shop" / ".smithers" / "smithers.db", "systemd")
    service.install()
    assert service.file == home / ".config" / "systemd" / "user" / f"{service.name}.service"
    assert service.file.read_text() == service.text()
    assert calls(home) == [
        "systemctl --user show-environment",
        "systemctl --user daemon-reload",
        f"systemctl --user enable {service.name}.service",
        f"systemctl --user restart {service.name}.service",
    ]
    assert service.uninstall()
    assert not service.file.exists()
    assert f"systemctl --user disable --now {service.name}.service" in calls(home)
    assert not service.uninstall()


def test_launchd_is_asked_in_its_own_way(home: Path) -> None:
    service = Service(home / "shop" / ".smithers" / "smithers.db", "launchd")
    service.install()
    assert service.file == home / "Library" / "LaunchAgents" / f"{service.name}.plist"
    assert calls(home)[-1].startswith("launchctl bootstrap gui/")
    assert service.uninstall()
    assert not service.file.exists()


def test_without_anything_that_runs_services_nothing_is_written(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = Service(home / "shop" / ".smithers" / "smithers.db", "systemd")
    (home / "refuse").touch()  # there is a systemctl, and no user manager behind it
    with pytest.raises(ServiceUnavailable, match="show-environment"):
        service.install()
    assert not service.file.exists()
    monkeypatch.setenv("PATH", str(home / "nowhere"))
    with pytest.raises(ServiceUnavailable, match="there is no systemctl") as refused:
        service.install()
    assert "--print-unit" in refused.value.hint
    assert not service.file.parent.exists()
