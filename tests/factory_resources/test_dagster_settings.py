"""What Dagster keeps, and how a file changes its settings; a wrong file is one line."""

from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import TickStatus

from factory_resources.errors import SettingError
from factory_resources.home.home import Home
from factory_resources.instance import SETTINGS_VARIABLE, instance_settings, prepare


def test_named_sections_replace_what_they_name_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = yaml.safe_load(instance_settings(postgres=True))
    file = tmp_path / "dagster.yaml"
    file.write_text(
        "run_launcher: {module: dagster_k8s, class: K8sRunLauncher, config: {job_image: 'f:1'}}\n"
        "run_monitoring: {max_resume_run_attempts: 0}\n"
    )
    monkeypatch.setenv(SETTINGS_VARIABLE, str(file))
    changed = yaml.safe_load(instance_settings(postgres=True))
    assert changed["run_launcher"] == {
        "module": "dagster_k8s",
        "class": "K8sRunLauncher",
        "config": {"job_image": "f:1"},
    }
    assert changed["run_monitoring"] == {**plain["run_monitoring"], "max_resume_run_attempts": 0}
    assert changed.keys() == plain.keys()
    same = plain.keys() - {"run_launcher", "run_monitoring"}
    assert {name: changed[name] for name in same} == {name: plain[name] for name in same}


@pytest.mark.parametrize("content", [None, "run_launcher", "run_launcher: K8s", "a: ["])
def test_a_file_without_sections_is_one_line(
    content: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "dagster.yaml"
    if content is not None:
        file.write_text(content)
    monkeypatch.setenv(SETTINGS_VARIABLE, str(file))
    with pytest.raises(SettingError, match="cannot be read from") as raised:
        instance_settings(postgres=False)
    assert "\n" not in str(raised.value)


def test_looks_that_started_nothing_do_not_stay_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(tmp_path / "home")
    monkeypatch.setenv("FACTORY_HOME", str(home.path))
    monkeypatch.setenv("DAGSTER_HOME", str(home.dagster))
    prepare(home)
    with dg.DagsterInstance.from_config(str(home.dagster)) as instance:
        kept = {
            kind: instance.get_tick_retention_settings(kind)[TickStatus.SKIPPED]
            for kind in (InstigatorType.SENSOR, InstigatorType.SCHEDULE)
        }
    assert kept == {InstigatorType.SENSOR: 1, InstigatorType.SCHEDULE: 30}
