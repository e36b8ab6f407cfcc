"""Rules of the command line that hold for every subcommand."""
import json
import shutil
import subprocess

import jsonschema
import pytest

from conftest import BIN


def run(*words, cwd=None, **environment):
    return subprocess.run([BIN / "muster", *words], capture_output=True, text=True, cwd=cwd,
                          env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", **environment})


@pytest.mark.parametrize("command", [[], ["exec"], ["compile"], ["config"], ["config", "check"], ["config", "schema"],
                                     ["config", "reference"], ["help"]])
def test_help_is_the_same_by_every_way(command):
    by_flag = run(*command, "--help")
    assert by_flag.returncode == 0 and "Examples:" in by_flag.stdout
    if command != ["help"]:
        assert run("help", *command).stdout == by_flag.stdout
    assert run(*command, "-h").stdout == by_flag.stdout


@pytest.mark.parametrize("words,near", [(["exce"], "exec"), (["exec", "--pol", "x"], "--pool"), (["config", "chek"], "check"),
                                        (["help", "exce"], "exec"), (["log", "x"], "logs"), (["exce", "--pool", "x"], "exec")])
def test_a_typo_gets_the_nearest_name(words, near):
    done = run(*words)
    assert done.returncode == 2 and f"Did you mean {near}?" in done.stderr and not done.stdout


def test_every_error_code_has_a_page(tmp_path):
    pages = run("help", "errors").stdout
    import re
    codes = re.findall(r"^## (E\d{4})", pages, re.M)
    assert len(codes) == len(set(codes)) > 20
    for code in codes:
        assert "remedy" in run("help", code).stdout
    sources = subprocess.run(["grep", "-rhoE", "--include=*.cpp", '"E0[0-9]{3}"', "src"], cwd=BIN.parents[1] if BIN.parent.name == "build" else None,
                             capture_output=True, text=True).stdout
    assert set(sources.replace('"', "").split()) <= set(codes)
    from conftest import TOP
    assert (TOP / "docs" / "errors.md").read_text() == pages


def test_config_check_shows_all_problems_at_once(tmp_path):
    (tmp_path / "muster.yml").write_text("pools:\n  linux:\n    imgae: debian\n    types: [m5.lrage]\n    block_devices: []\n")
    done = run("config", "check", cwd=tmp_path)
    assert done.returncode == 2 and not done.stdout
    assert "muster.yml:3:5  pools.linux.imgae: unknown key. Did you mean image?" in done.stderr
    assert 'muster.yml:4:13  pools.linux.types[0] "m5.lrage": no such instance type. Did you mean m5.large?' in done.stderr
    assert "muster.yml:5:5  pools.linux.block_devices is not supported yet." in done.stderr and "4 problems" in done.stderr
    (tmp_path / "muster.yml").write_text("pools:\n  linux:\n    image: debian\n    types: [m5.large]\n")
    done = run("config", "check", "--json", cwd=tmp_path)
    assert done.returncode == 0 and json.loads(done.stdout)["schema"] == "muster.config/1"


def test_the_reference_is_the_programs_own():
    from conftest import TOP
    assert (TOP / "docs" / "configuration.md").read_text() == run("config", "reference").stdout


POOL = {"image": "i", "types": ["t3.large"]}


@pytest.mark.parametrize("pool", [
    POOL, {"launch_template": {"name": "ci", "version": 3}}, {"launch_template": {"id": "lt-1"}},
    {**POOL, "image_owner": 123456789012, "max_price": 0.05, "subnets": "subnet-1", "tags": {"a": 1, "b": True},
     "disk": {"size": 40, "type": "gp3"}, "ssh": {"user": "u", "port": 2222}, "dead_man": "1h", "public_ip": False}])
def test_the_schema_takes_what_the_program_takes(pool, tmp_path):
    schema = json.loads(run("config", "schema").stdout)
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate({"pools": {"p": pool}}, schema)
    (tmp_path / "muster.yml").write_text(json.dumps({"pools": {"p": pool}}))
    done = run("config", "check", cwd=tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("document", [
    {"pools": {"p": {"types": ["t3.large"]}}}, {"pool": {}}, {"pools": {"p": {**POOL, "imgae": "x"}}},
    {"pools": {"p": {**POOL, "max_instances": -1}}}, {"pools": {"p": {**POOL, "max_instances": "many"}}},
    {"pools": {"p": {**POOL, "on_demand": "maybe"}}}, {"pools": {"p": {**POOL, "dead_man": 10}}},
    {"pools": {"p": {**POOL, "disk": {"type": "gp9"}}}}, {"pools": {"a b": POOL}}, {"pools": {"p": {**POOL, "idle": 2}}},
    {"pools": {"p": {"launch_template": {"version": 1}}}}, {"pools": {"p": {**POOL, "monitoring": "maybe"}}}])
def test_the_schema_refuses_what_the_program_refuses(document, tmp_path):
    schema = json.loads(run("config", "schema").stdout)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, schema)
    (tmp_path / "muster.yml").write_text(json.dumps(document))
    assert run("config", "check", cwd=tmp_path).returncode == 2


def test_compile_prints_the_stage_and_refuses_mistakes(tmp_path):
    (tmp_path / ".drone.yml").write_text("kind: pipeline\ntype: vm\nsteps:\n- {name: a, commands: [x], settings: {b: c}}\n- {name: a}\n")
    done = run("compile", cwd=tmp_path)
    assert done.returncode == 2 and "settings" in done.stderr and "duplicate step name" in done.stderr
    (tmp_path / ".drone.yml").write_text("kind: pipeline\ntype: vm\nsteps:\n- {name: a, commands: [x], colour: red}\n")
    done = run("compile", cwd=tmp_path)
    stage = json.loads(done.stdout)
    assert done.returncode == 0 and stage["schema"] == "muster.stage/1" and "warning" in done.stderr
    assert [step["name"] for step in stage["steps"]] == ["clone", "a"]


@pytest.mark.parametrize("words,code", [
    (["exec"], 2), (["exec", "--timeout", "soon"], 2), (["compile", "nowhere.yml"], 2), (["config", "check"], 2),
    (["exec", "--event", "dance"], 2), (["exec", "--log", "loud"], 2), (["help", "E9999"], 2)])
def test_wrong_use_is_told_with_a_remedy(words, code, tmp_path):
    done = run(*words, cwd=tmp_path)
    assert done.returncode == code and not done.stdout, done.stdout
    assert len(done.stderr.strip().splitlines()) >= 2, done.stderr
    assert "what()" not in done.stderr and "terminate" not in done.stderr


def test_without_a_terminal_there_is_no_colour(muster):
    done = muster.steps("clone: {disable: true}\nsteps: [{name: a, commands: [echo hi]}]\n")
    assert done.returncode == 0 and "\x1b" not in done.stdout + done.stderr


def test_substitution_knows_the_stage_and_the_variables_for_all_steps(tmp_path):
    (tmp_path / "all.env").write_text("FLAVOUR=vanilla\n")
    (tmp_path / ".drone.yml").write_text(
        "kind: pipeline\ntype: vm\nname: other\nsteps: [{name: a, commands: [x]}]\n---\n"
        "kind: pipeline\ntype: vm\nname: tests\nplatform: {arch: arm64}\nsteps:\n"
        "- name: a\n  commands: ['echo ${DRONE_STAGE_NAME} ${DRONE_STAGE_TYPE} ${DRONE_STAGE_ARCH} ${FLAVOUR} ${DRONE_BUILD_EVENT}']\n")
    done = run("compile", "--pipeline", "tests", "--env-file", "all.env", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "echo tests vm arm64 vanilla push" in done.stdout


def test_compile_shows_secrets_only_when_asked(tmp_path):
    (tmp_path / "secrets").write_text("TOKEN=correct-horse\n")
    (tmp_path / ".drone.yml").write_text(
        "kind: pipeline\ntype: vm\nsteps:\n- name: a\n  image: i\n  environment: {T: {from_secret: token}}\n"
        "  settings: {key: {from_secret: TOKEN}}\n")
    done = run("compile", "--secret-file", "secrets", cwd=tmp_path)
    assert done.returncode == 0 and "correct-horse" not in done.stdout + done.stderr, done.stderr
    assert '"T"' in done.stdout and '"PLUGIN_KEY"' in done.stdout
    assert "correct-horse" in run("compile", "--secret-file", "secrets", "--show-secrets", cwd=tmp_path).stdout


def test_shells_complete_commands_and_options():
    script = """source <("$1" completion bash)
    ask() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _muster; echo "${COMPREPLY[@]}"; }
    ask muster po; ask muster pool ''; ask muster logs --se; ask muster instance drain --y; ask muster pool pause x --re
    ask muster jobs --state le; ask muster token create x --role o"""
    done = subprocess.run(["bash", "-c", script, "bash", BIN / "muster"], capture_output=True, text=True)
    assert done.stdout.splitlines() == ["pools pool", "pause drain resume --help", "--search", "--yes", "--reason",
                                        "leased", "operator"], done.stderr
    for shell in ("zsh", "fish"):
        done = subprocess.run([BIN / "muster", "completion", shell], capture_output=True, text=True)
        assert done.returncode == 0 and "revoke" in done.stdout
    done = subprocess.run([BIN / "muster", "completion", "tcsh"], capture_output=True, text=True)
    assert done.returncode == 2 and "E0101" in done.stderr


def test_the_page_for_man_is_sound_and_whole():
    page = subprocess.run([BIN / "muster", "help", "man"], capture_output=True).stdout
    assert page.isascii()
    for section in (b".SS muster exec", b".SS muster token create", b".SH EXIT STATUS", b".SS muster config reload"):
        assert section in page
    if shutil.which("groff"):
        done = subprocess.run(["groff", "-man", "-Tutf8", "-ww"], input=page, capture_output=True)
        assert done.returncode == 0 and not done.stderr, done.stderr


def test_who_stops_reading_hears_nothing():
    done = subprocess.run(["bash", "-c", '"$0" help man | head -1; echo ${PIPESTATUS[0]}', BIN / "muster"],
                          capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] in ("0", "141") and done.stderr == ""
