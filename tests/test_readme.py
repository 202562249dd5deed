import re
import shlex
from pathlib import Path

import pytest
import typer
import yaml

from flows.cli import app
from lake.schemas import TABLES

REPOSITORY = Path(__file__).parents[1]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
COMMANDS = [
    line.strip()
    for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
    if line.startswith("taxalake ")
] + re.findall(r"`(taxalake [a-z]+ --[^`]+)`", README)


def test_the_table_map_is_the_schemas():
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \| (.+?) \| (.+?) \|$", README, re.MULTILINE)
    assert rows == [(table.name, table.grain, table.written_by, table.read_by) for table in TABLES.values()]


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_of_the_readme_can_be_parsed(line):
    words = shlex.split(line)[1:]
    command = typer.main.get_command(app)
    while hasattr(command, "commands"):
        name = words.pop(0)
        assert name in command.commands, name
        command = command.commands[name]
    command.make_context(command.name, words, resilient_parsing=False).close()


def test_the_five_commands_are_there():
    assert len(COMMANDS) >= 8


def test_the_pictures_and_files_of_the_readme_are_there():
    for path in [*re.findall(r"!\[.*?\]\((.+?)\)", README), "constraints.txt", "deployments/prefect.yaml", ".ci/run"]:
        assert (REPOSITORY / path).is_file(), path


def test_both_install_commands_use_the_constraints():
    installs = [line for line in README.splitlines() if line.startswith("python3 -m venv")]
    assert len(installs) == 2
    assert all("-c constraints.txt" in line for line in installs)


def test_what_breaks_prefect_is_bounded_in_the_projects_own_dependencies():
    bounds = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    assert '"fastapi>=0.139,<0.151"' in bounds
    assert '"sqlalchemy>=2.0,<2.1"' in bounds


def test_every_flow_of_the_stages_is_deployed():
    deployments = yaml.safe_load((REPOSITORY / "deployments" / "prefect.yaml").read_text())["deployments"]
    entrypoints = {deployment["entrypoint"] for deployment in deployments}
    flows = {
        f"flows.{path.stem}.{name}"
        for path in (REPOSITORY / "flows").glob("*.py")
        for name in re.findall(r"^@flow\(.*\)\ndef (\w+)", path.read_text(), re.MULTILINE)
    }
    assert entrypoints == flows - {"flows.demo.demo"}
