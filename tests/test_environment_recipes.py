"""What a model's files say of its environment: read strictly, and equal when it means the same."""
import platform
import sys

import pytest
from tensord.environments import plan, recipe, requirement, sources, version
from tensord.environments.errors import EnvironmentFault


@pytest.fixture
def model(tmp_path):
    """model(**files) writes a model's folder: the names are those of files, "_" for a dot."""
    folder = tmp_path / "model"
    folder.mkdir()

    def write(python=None, **files):
        for name, text in files.items():
            (folder / name.replace("_", ".")).write_text(text)
        question = {
            "path": str(folder),
            "root": str(folder),
            "environments": str(tmp_path / "environments"),
            "python": python or {},
        }
        return plan.answer(question)

    write.folder = folder
    return write


@pytest.mark.parametrize(
    "number, wanted, fits",
    [
        ("3.11.7", ">=3.11", True),
        ("3.11.7", ">=3.11,<3.12", True),
        ("3.12.0", ">=3.11, <3.12", False),
        ("3.11.7", "==3.11.*", True),
        ("3.1.1", "==3.11.*", False),
        ("3.11.7", "!=3.11.*", False),
        ("3.13.0", "~=3.11", True),
        ("4.0", "~=3.11", False),
        ("3.11.0", "==3.11", True),
        ("3.12.0rc1", ">=3.12", False),
        ("1.26.4", "<2", True),
        ("2.0.0.dev3", "<2", True),
        ("1.0.post1", ">1.0", True),
        ("1.10", ">1.9", True),
        ("1.0", "", True),
    ],
)
def test_versions_agree_with_specifiers(number, wanted, fits):
    assert version.satisfies(number, wanted) is fits


@pytest.mark.parametrize("wanted", ["3.11", ">=", ">=x y", "=>3", ">=3.11 <4"])
def test_what_is_no_specifier(wanted):
    with pytest.raises(ValueError):
        version.satisfies("3.11.7", wanted)


@pytest.mark.parametrize(
    "text, normal",
    [
        ("NumPy", "numpy"),
        ("zope.interface >= 5 , <6", "zope-interface<6,>=5"),
        ("requests[Security,socks] (==2.8.*)", "requests[security,socks]==2.8.*"),
        ('x ; python_version<"3.9"', 'x ; python_version<"3.9"'),
        ("p @ https://h/p-1.whl", "p @ https://h/p-1.whl"),
        ("p @ git+https://h/p@v1", "p @ git+https://h/p@v1"),
    ],
)
def test_requirements_have_one_form(text, normal):
    assert requirement.parse(text).text == normal


@pytest.mark.parametrize(
    "text", ["", "a b", "==1", "a==", "a@file:///etc/passwd", "./a", "../a", "a @ /etc", "-x", "a;"]
)
def test_what_is_no_requirement(text):
    with pytest.raises(ValueError):
        requirement.parse(text)


def test_a_model_that_says_nothing_runs_on_the_base_interpreter(model):
    assert model(model_py="x = 1\n") == {"interpreter": sys.executable}


def test_comments_blanks_and_order_do_not_change_the_hash(model):
    first = model(requirements_txt="numpy==1.26.4\niniconfig >= 1\n")
    second = model(requirements_txt="# why\n\nIniConfig>=1 # this\nnumpy == \\\n  1.26.4\n")
    assert first["hash"] == second["hash"]
    assert first["interpreter"].endswith(f"{first['hash']}/bin/python")
    assert not first["ready"]


def test_another_requirement_changes_the_hash(model):
    first = model(requirements_txt="numpy==1.26.4\n")
    assert first["hash"] != model(requirements_txt="numpy==1.26.3\n")["hash"]


@pytest.mark.parametrize(
    "text, line, says",
    [
        ("numpy\n\nbad here\n", 3, "'bad here' is no requirement"),
        ("a\\\n ==1 b\n", 1, "is no requirement"),
        ("-e .\n", 1, "editable"),
        ("./wheels/a.whl\n", 1, "not seen by the installer"),
        ("--find-links wheels\n", 1, "no address on the network"),
        ("-r ../../other.txt\n", 1, "not a file of the model's folder"),
        ("-r other.txt\n", 1, "there is no file"),
        ("-r requirements.txt\n", 1, "deep"),
        ("--frobnicate\n", 1, "'--frobnicate' is not supported"),
        ("numpy\n--index-url https://${TOKEN}@h/\n", 2, "variables are not replaced"),
    ],
)
def test_a_broken_requirements_file_is_an_error_with_the_line(model, text, line, says):
    error = model(requirements_txt=text)["error"]
    assert error.startswith(f"requirements.txt, line {line}: ") and says in error


def test_requirements_that_are_no_text(model):
    (model.folder / "requirements.txt").write_bytes(b"numpy\n\xff\xfe\n")
    assert model()["error"] == "requirements.txt, line 2: not UTF-8"


def test_included_files_and_constraints(model):
    (model.folder / "more.txt").write_text("iniconfig\n")
    (model.folder / "pins.txt").write_text("numpy==1.26.4\n")
    made = model(requirements_txt="numpy\n-r more.txt\n-c pins.txt\n--no-index\n")["recipe"]
    assert made["requirements"] == ["iniconfig", "numpy"]
    assert made["constraints"] == ["numpy==1.26.4"]
    assert made["options"] == ["--no-index"]


def test_numpy_is_added_for_code_that_has_arrays(model):
    assert model(requirements_txt="iniconfig\n", model_py="x = 1\n")["recipe"]["extra"] == []
    arrays = "import numpy as np\n"
    made = model(requirements_txt="iniconfig\n", model_py=arrays)["recipe"]
    assert made["extra"] == ["numpy"]
    assert model(requirements_txt="numpy\n", model_py=arrays)["recipe"]["extra"] == []


def test_nothing_is_added_to_what_is_hashed(model):
    text = "iniconfig==1 --hash=sha256:ab12\n"
    hashed = model(requirements_txt=text, model_py="import numpy\n")["recipe"]
    assert hashed["extra"] == [] and hashed["options"] == ["--require-hashes"]
    assert hashed["requirements"] == ["iniconfig==1 --hash=sha256:ab12"]


def test_project_dependencies(model):
    made = model(pyproject_toml='[project]\nname = "m"\ndependencies = ["iniconfig<3"]\n')
    assert made["origin"] == "pyproject.toml"
    assert made["recipe"]["requirements"] == ["iniconfig<3"]


def test_a_project_that_is_only_settings_of_tools(model):
    assert model(pyproject_toml="[tool.ruff]\n", model_py="") == {"interpreter": sys.executable}


@pytest.mark.parametrize(
    "text, says",
    [
        ("[project\n", "line 1"),
        ('[project]\ndynamic = ["dependencies"]\n', "dynamic"),
        ('[project]\ndependencies = "numpy"\n', "no list of strings"),
        ('[project]\ndependencies = ["a b"]\n', "'a b' is no requirement"),
        ('[project]\nrequires-python = "new"\n', "requires-python"),
        ("[tool.poetry.dependencies]\nnumpy = '1'\n", "[tool.poetry]"),
    ],
)
def test_a_broken_project(model, text, says):
    error = model(pyproject_toml=text)["error"]
    assert error.startswith("pyproject.toml: ") and says in error


def test_script_metadata(model):
    made = model(model_py='"""x"""\n# /// script\n# dependencies = ["iniconfig"]\n# ///\nx = 1\n')
    assert made["origin"] == "model.py"
    assert made["recipe"]["requirements"] == ["iniconfig"]


def test_script_metadata_of_a_single_file(model, tmp_path):
    path = tmp_path / "one.py"
    path.write_text('# /// script\n# dependencies = ["iniconfig"]\n# ///\n')
    (tmp_path / "requirements.txt").write_text("numpy\n")  # belongs to no model
    answer = plan.answer({"path": str(path), "root": "", "environments": str(tmp_path)})
    assert answer["recipe"]["requirements"] == ["iniconfig"]


def test_script_metadata_that_is_broken(model):
    error = model(model_py="# /// script\n# dependencies = [\n# ///\n")["error"]
    assert error.startswith("model.py: script metadata: ")
    twice = "# /// script\n# ///\n" * 2
    assert "more than one" in model(model_py=twice)["error"]


def test_the_nearest_files_win(model, tmp_path):
    version_folder = model.folder / "1"
    version_folder.mkdir()
    (model.folder / "requirements.txt").write_text("iniconfig==1.1.0\n")
    question = {
        "path": str(version_folder),
        "root": str(model.folder),
        "environments": str(tmp_path),
        "python": {},
    }
    assert plan.answer(question)["recipe"]["requirements"] == ["iniconfig==1.1.0"]
    (version_folder / "requirements.txt").write_text("iniconfig==2.0.0\n")
    assert plan.answer(question)["recipe"]["requirements"] == ["iniconfig==2.0.0"]


def test_a_lock_weighs_more_than_what_it_locks(model):
    made = model(requirements_txt="iniconfig\n", requirements_lock="iniconfig==2.0.0\n")
    assert made["recipe"]["requirements"] == ["iniconfig==2.0.0"]


def test_locks_in_other_forms_are_handed_on(model):
    made = model(pylock_toml='lock-version = "1.0"\n')
    assert made["recipe"]["kind"] == "pylock" and "pylock.toml" in made["recipe"]["files"]
    made = model(uv_lock="version = 1\n", pyproject_toml='[project]\nname = "m"\n')
    assert made["recipe"]["kind"] == "uv-lock" and len(made["recipe"]["files"]) == 2


def test_a_lock_without_its_project(model):
    assert "pyproject.toml" in model(uv_lock="version = 1\n")["error"]


def test_the_config_names_requirements(model):
    made = model({"requirements": ["iniconfig"]}, requirements_txt="numpy\n")
    assert made["recipe"]["requirements"] == ["iniconfig"]
    assert model({"requirements": ["a b"]})["error"] == (
        "python.requirements: 'a b' is no requirement"
    )


def test_the_config_names_a_file(model):
    (model.folder / "gpu.txt").write_text("iniconfig\n")
    assert model({"requirements": ["gpu.txt"]})["recipe"]["requirements"] == ["iniconfig"]
    assert "there is no file" in model({"requirements": ["../gpu.txt"]})["error"]


def test_the_config_names_an_interpreter_or_an_environment(model, tmp_path):
    answer = model({"interpreter": sys.executable}, requirements_txt="a b\n")
    assert answer == {"interpreter": sys.executable, "named": True}
    program = tmp_path / "env" / "bin" / "python"
    program.parent.mkdir(parents=True)
    program.symlink_to(sys.executable)
    assert model({"interpreter": str(tmp_path / "env")})["interpreter"] == str(program)
    program.rename(program.with_name("python3"))
    assert model({"interpreter": str(tmp_path / "env")})["interpreter"] == str(program.with_name("python3"))
    assert "there is no program" in model({"interpreter": "/nonexistent"})["error"]


def test_an_environment_in_the_models_folder_as_tritons_config_names_it(model):
    program = model.folder / "env" / "bin" / "python"
    program.parent.mkdir(parents=True)
    program.symlink_to(sys.executable)
    named = {"interpreter": "$$TRITON_MODEL_DIRECTORY/env"}
    assert model(named)["interpreter"] == str(program)


def test_another_version_of_python(model):
    assert model({"version": platform.python_version()}, model_py="") == {
        "interpreter": sys.executable
    }
    made = model({"version": "3.99"}, model_py="")
    assert made["recipe"]["python"] == "==3.99.*"
    assert "python.version" in model({"version": "new"}, model_py="")["error"]


def test_a_project_asks_for_another_version_of_python(model):
    text = '[project]\nrequires-python = ">=3.98"\ndependencies = []\n'
    assert model(pyproject_toml=text)["recipe"]["python"] == ">=3.98"


def test_large_files_are_refused(model):
    text = "#" * (requirement.MAX_FILE_BYTES + 1)
    assert model(requirements_txt=text)["error"] == "requirements.txt is larger than 1 MiB"


def test_an_environment_whose_interpreter_has_gone_is_not_ready(tmp_path):
    place = tmp_path / "0123"
    (place / "bin").mkdir(parents=True)
    (place / recipe.MANIFEST).write_text("{}")
    (place / "bin" / "python").symlink_to(sys.executable)
    assert recipe.is_ready(tmp_path, "0123")
    (place / "bin" / "python").unlink()
    (place / "bin" / "python").symlink_to(tmp_path / "gone")
    assert not recipe.is_ready(tmp_path, "0123")


def test_readers_stand_for_every_file():
    assert set(sources.READERS) == {*plan.FILES, plan.MODEL_FILE}
    with pytest.raises(EnvironmentFault):
        sources.from_pylock(requirement.Path(__file__).parent / "conftest.py", requirement.Path("/"))
