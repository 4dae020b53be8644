"""What the author or the user got wrong: said with its place, and nothing is changed."""

from __future__ import annotations

import json

import pytest

from tests.acceptance.process import Project

REFUSED = 4


def refused(project: Project, *words: str, given: str | None = None) -> str:
    """Run a command that must be refused without a trace; returns what it said."""
    before = [run.name for run in project.runs()]
    done = project.run(*words, given=given)
    assert (done.returncode, done.stdout) == (REFUSED, ""), done.stderr
    assert "Traceback" not in done.stderr
    assert [run.name for run in project.runs()] == before
    return done.stderr


def first_lines(text: str) -> tuple[str, str]:
    head, hint = text.splitlines()[:2]
    return head, hint


HELLO = """
class Greeting(BaseModel):
    name: str
    times: int = 1

@workflow
def hello(ctx: Context[Greeting]):
    return Task("greet", Text, value=Text(text="hello " * ctx.input.times + ctx.input.name))
"""

# --- The file -------------------------------------------------------------------------------------


def test_a_syntax_error_names_file_line_and_message(project: Project) -> None:
    at = project.write("@workflow\ndef flow(ctx):\n    return Task('a', Text, value=)\n")
    said = refused(project, "up", "flow.py")
    assert said.startswith("[WORKFLOW_LOAD_FAILED] SyntaxError: ")
    assert f"flow.py:{at + 2})" in said
    assert "hint: fix the file" in said


def test_an_exception_while_importing_names_its_line_in_the_workflow_file(project: Project) -> None:
    project.write("""
        def helper():
            return json.loads("{")  # raises

        helper()
    """)
    said = refused(project, "up", "flow.py")
    assert said.startswith("[WORKFLOW_LOAD_FAILED] JSONDecodeError: ")
    assert f"flow.py:{project.line('# raises')})" in said


def test_a_missing_module_is_named_with_the_line_that_wanted_it(project: Project) -> None:
    at = project.write("import no_such_module_here\n")
    assert f"No module named 'no_such_module_here' ({project.folder / 'flow.py'}:{at})" in refused(
        project, "up", "flow.py"
    )


def test_an_exception_of_the_workflow_function_is_refused_in_the_first_frame(project: Project) -> None:
    project.write("""
        @workflow
        def flow(ctx):
            nothing = {}["key"]
            return Task("a", Text, value=Text(text=nothing))
    """)
    said = refused(project, "up", "flow.py")
    assert said.startswith("[RENDER_FAILED] flow raised KeyError: 'key'")
    assert f"flow.py:{project.line('nothing = {}')})" in said


def test_a_file_that_is_not_there_is_answered_with_those_that_are(project: Project) -> None:
    project.write(HELLO, "hello.py")
    assert "no file helo.py; in this folder: hello.py" in refused(project, "up", "helo.py")


def test_several_workflows_in_a_file_are_listed_with_the_command_to_choose_one(project: Project) -> None:
    project.write("""
        @workflow
        def first(ctx):
            return Task("a", Text, value=Text())

        @workflow
        def second(ctx):
            return Task("b", Text, value=Text(text="second"))
    """)
    said = refused(project, "up", "flow.py")
    assert "has 2 workflows: first, second" in said
    assert "smithers up flow.py:first" in said
    assert "has no workflow 'third': first, second" in refused(project, "up", "flow.py:third")
    assert json.loads(project.run("up", "flow.py:second").stdout) == {"text": "second"}


def test_a_file_without_a_workflow_says_how_to_make_one(project: Project) -> None:
    project.write("")
    said = refused(project, "up", "flow.py")
    assert "has no workflow" in said
    assert "@workflow" in said


def test_graph_refuses_what_up_refuses(project: Project) -> None:
    project.write("raise ValueError('broken')\n")
    assert "ValueError: broken" in refused(project, "graph", "flow.py")


def test_a_bad_file_in_the_background_is_told_at_once(project: Project) -> None:
    project.write("raise ValueError('broken')\n")
    said = refused(project, "up", "-d", "flow.py")
    assert "[WORKFLOW_LOAD_FAILED] ValueError: broken" in said


# --- The input ------------------------------------------------------------------------------------


def test_an_input_that_does_not_fit_names_every_field(project: Project) -> None:
    project.write(HELLO)
    said = refused(project, "up", "flow.py", "--input", '{"times": "many"}')
    head, hint = first_lines(said)
    assert head.startswith("[INPUT_INVALID] the input does not fit hello (Greeting): ")
    assert "name: Field required" in head
    assert "times: Input should be a valid integer" in head
    assert "'many'" in head
    assert "smithers graph" in hint


def test_a_missing_input_is_an_input_that_does_not_fit(project: Project) -> None:
    project.write(HELLO)
    assert "name: Field required" in refused(project, "up", "flow.py")


def test_an_input_error_is_json_when_json_was_asked_for(project: Project) -> None:
    project.write(HELLO)
    done = project.run("up", "flow.py", "--json", "--input", "{}")
    found = json.loads(done.stdout)
    assert (done.returncode, found["status"], found["error"]["code"]) == (REFUSED, "error", "INPUT_INVALID")
    assert found["error"]["details"]["errors"][0]["path"] == "name"


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("{name: world}", "--input is not JSON"),
        ("", "--input is not JSON"),
        ('{"name": NaN}', "NaN is not a JSON number"),
        ("[1]", "does not fit"),
        ("@nowhere.json", "cannot read nowhere.json"),
        ("@.", "cannot read ."),
    ],
)
def test_an_input_that_cannot_be_read_is_refused_with_its_reason(
    project: Project, word: str, said: str
) -> None:
    project.write(HELLO)
    assert said in refused(project, "up", "flow.py", "--input", word)


def test_an_input_may_come_from_a_file_or_from_standard_input(project: Project) -> None:
    project.write(HELLO)
    (project.folder / "given.json").write_text('{"name": "Ada", "times": 2}')
    assert json.loads(project.run("up", "flow.py", "--input", "@given.json").stdout) == {
        "text": "hello hello Ada"
    }
    assert json.loads(project.run("up", "flow.py", "-i", "-", given='{"name": "Bo"}').stdout) == {
        "text": "hello Bo"
    }
    assert "standard input is not JSON" in refused(project, "up", "flow.py", "-i", "-", given="{")


# --- The tree -------------------------------------------------------------------------------------


def test_a_duplicate_id_is_told_in_the_words_of_the_article_with_both_places(project: Project) -> None:
    project.write("""
        @workflow
        def flow(ctx):
            return Sequence(
                Task("twice", Text, value=Text()),  # one
                Task("twice", Text, value=Text()),  # two
            )
    """)
    said = refused(project, "up", "flow.py")
    assert "Duplicate Task id detected: twice" in said
    assert f"flow.py:{project.line('# one')}" in said
    assert f"flow.py:{project.line('# two')}" in said


def test_a_missing_output_is_told_in_the_words_of_the_article_with_its_place(project: Project) -> None:
    project.write("""
        @workflow
        def flow(ctx):
            return Task("plan", run=lambda: {})
    """)
    said = refused(project, "up", "flow.py")
    assert "Task plan is missing output table." in said
    assert f"flow.py:{project.line('Task(')}" in said


def test_a_child_that_is_no_node_is_named_with_its_type(project: Project) -> None:
    project.write("""
        @workflow
        def flow(ctx):
            return Sequence(Task("a", Text, value=Text()), 42)
    """)
    said = refused(project, "up", "flow.py")
    assert "[CHILD_REFUSED] 42 is not a node: it is of type int" in said
    assert f"flow.py:{project.line('Sequence(Task')}" in said


def test_a_bad_id_is_refused_where_it_is_written(project: Project) -> None:
    project.write("""
        @workflow
        def flow(ctx):
            return Task("no spaces", Text, value=Text())
    """)
    said = refused(project, "up", "flow.py")
    assert "[INVALID_ID] not a node id: 'no spaces'" in said
    assert f"flow.py:{project.line('no spaces')}" in said


def test_a_read_of_an_output_that_is_not_there_says_where_to_read_it(project: Project) -> None:
    project.write("""
        @workflow
        def flow(ctx):
            plan = Task("plan", Text, value=Text())
            return Sequence(plan, Task("use", Text, value=Text(text=ctx.output(plan).text)))
    """)
    said = refused(project, "up", "flow.py")
    assert said.startswith("[MISSING_OUTPUT] plan has no output yet")
    assert f"flow.py:{project.line('ctx.output(plan)')}" in said
    assert "output_maybe" in said


def test_a_literal_value_that_does_not_fit_is_a_mistake_in_the_file(project: Project) -> None:
    project.write("""
        class Count(BaseModel):
            items: list[int]

        @workflow
        def flow(ctx):
            return Task("count", Count, value={"items": [1, "two"]})
    """)
    said = refused(project, "up", "flow.py")
    assert "Task count: the output does not fit Count: items[1]: " in said
    assert "'two'" in said
    assert f"flow.py:{project.line('value=')}" in said


def test_a_cycle_names_the_tasks_in_it(project: Project) -> None:
    project.write("""
        @workflow
        def flow(ctx):
            return Parallel(
                Task("egg", Text, value=Text(), depends_on="hen"),
                Task("hen", Text, value=Text(), depends_on="egg"),
            )
    """)
    said = refused(project, "up", "flow.py")
    assert "[DEPENDENCY_CYCLE]" in said
    assert "egg" in said.splitlines()[0]
    assert "hen" in said.splitlines()[0]
    assert "flow.py:" in said


# --- Deadlocks ------------------------------------------------------------------------------------


def test_a_deadlock_in_the_first_frame_names_both_ids_and_the_line(project: Project) -> None:
    project.write("""
        @workflow
        def flow(ctx):
            return Task("ship", Text, value=Text(), depends_on="reviewed")
    """)
    said = refused(project, "up", "flow.py")
    assert said.startswith("[DEPENDENCY_DEADLOCK]")
    assert "ship waits for reviewed" in said
    assert f"flow.py:{project.line('reviewed')}" in said


def test_a_deadlock_after_the_first_frame_fails_the_run_and_names_both_ids(project: Project) -> None:
    project.write("""
        @workflow
        def flow(ctx):
            return Parallel(
                Task("build", Text, run=lambda: Text()),
                Task("ship", Text, value=Text(), depends_on="reviewed"),
            )
    """)
    done = project.run("up", "flow.py", "--run-id", "r1")
    assert (done.returncode, done.stdout) == (1, "")
    assert "[DEPENDENCY_DEADLOCK]" in done.stderr
    assert "ship waits for reviewed" in done.stderr
    assert f"flow.py:{project.line('reviewed')}" in done.stderr
    assert "ship waits for reviewed, which is not mounted" in done.stderr
    error = project.document("inspect", "r1")["error"]
    assert error["code"] == "DEPENDENCY_DEADLOCK"


# --- Outputs of running tasks -----------------------------------------------------------------------


def test_an_output_that_does_not_fit_its_model_names_path_and_value_and_is_not_retried(
    project: Project,
) -> None:
    project.write("""
        class Plan(BaseModel):
            steps: list[int]

        def plan():
            note("plan")
            return {"steps": [1, 2, "three"]}

        @workflow
        def flow(ctx):
            return Task("plan", Plan, run=plan)
    """)
    done = project.run("up", "flow.py")
    assert (done.returncode, done.stdout) == (1, "")
    assert "steps[2]: " in done.stderr
    assert "'three'" in done.stderr
    assert project.executed() == ["plan"]


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ('{"mean": float("nan")}', "mean"),
        ('{"deep": [{"x": 1e999}]}', "deep[0].x"),
        ('{"when": object()}', "the value"),
    ],
)
def test_an_output_that_json_cannot_hold_names_path_and_value(
    project: Project, value: str, path: str
) -> None:
    project.write(f"""
        @workflow(outputs={{"stats": dict}})
        def flow(ctx):
            return Task("measure", "free", run=lambda: {value})
    """)
    done = project.run("up", "flow.py")
    assert (done.returncode, done.stdout) == (1, "")
    assert f"{path}: JSON cannot hold " in done.stderr


def test_a_number_in_a_model_that_json_cannot_hold_is_refused_and_not_stored_as_null(
    project: Project,
) -> None:
    project.write("""
        class Stats(BaseModel):
            mean: float

        @workflow
        def flow(ctx):
            return Task("measure", Stats, run=lambda: Stats(mean=float("inf")))
    """)
    done = project.run("up", "flow.py")
    assert (done.returncode, done.stdout) == (1, "")
    assert "mean: JSON cannot hold this number, got inf" in done.stderr


# --- Run names ------------------------------------------------------------------------------------


@pytest.fixture
def with_runs(project: Project) -> Project:
    """Runs r-one and r-two, both finished."""
    project.write(HELLO)
    for name in ("r-one", "r-two"):
        assert project.run("up", "flow.py", "-r", name, "-i", '{"name": "Ada"}').returncode == 0
    return project


@pytest.mark.parametrize(
    "words",
    [
        ["inspect", "r-three"],
        ["output", "r-three"],
        ["why", "r-three"],
        ["logs", "r-three"],
        ["cancel", "r-three"],
        ["up", "flow.py", "--resume", "r-three"],
        ["up", "--resume", "r-three"],
    ],
)
def test_an_unknown_run_is_answered_with_those_that_exist(with_runs: Project, words: list[str]) -> None:
    said = refused(with_runs, *words)
    assert said.startswith("[RUN_NOT_FOUND]")
    assert "r-three" in said
    assert "r-one" in said
    assert "r-two" in said


@pytest.mark.parametrize(
    "words",
    [["inspect", "r-"], ["cancel", "r-"], ["up", "flow.py", "--resume", "r-"], ["up", "--resume", "r-"]],
)
def test_an_ambiguous_prefix_is_answered_with_the_runs_it_begins(
    with_runs: Project, words: list[str]
) -> None:
    said = refused(with_runs, *words)
    assert said.startswith("[RUN_AMBIGUOUS]")
    assert "r-one" in said
    assert "r-two" in said


def test_a_taken_run_id_is_refused_and_says_how_to_continue(with_runs: Project) -> None:
    said = refused(with_runs, "up", "flow.py", "-r", "r-one", "-i", '{"name": "Ada"}')
    assert said.startswith("[RUN_EXISTS]")
    assert "smithers up flow.py --run-id r-one --resume" in said


def test_a_taken_run_id_is_refused_before_the_file_is_imported(with_runs: Project) -> None:
    with_runs.write("note('imported')\n")
    refused(with_runs, "up", "flow.py", "-r", "r-one")
    assert with_runs.executed() == []


@pytest.mark.parametrize("name", ["no spaces", "", "-x", "a/b", "x" * 101])
def test_a_name_that_can_be_no_run_id_is_refused(project: Project, name: str) -> None:
    project.write(HELLO)
    assert "not a run id" in refused(project, "up", "flow.py", f"--run-id={name}", "-i", '{"name": "Ada"}')


def test_resume_that_took_the_file_for_a_run_id_says_so(with_runs: Project) -> None:
    said = refused(with_runs, "up", "--resume", "flow.py")
    assert "--resume took 'flow.py', which is a file, for a run id" in said
    assert "smithers up flow.py --resume" in said


def test_resume_in_a_project_without_runs_says_how_to_start_one(project: Project) -> None:
    project.write(HELLO)
    for words in (["flow.py", "--resume"], ["--resume", "r1"]):
        said = refused(project, "up", *words)
        assert said.startswith("[RUN_NOT_FOUND]")
        assert "smithers up" in said
    assert not project.store.exists()


def test_resume_of_two_names_is_refused(with_runs: Project) -> None:
    assert "name two runs" in refused(with_runs, "up", "flow.py", "-r", "r-one", "--resume", "r-two")


def test_up_without_a_file_or_a_run_says_what_it_wants(project: Project) -> None:
    assert "name a workflow file" in refused(project, "up")


def test_a_run_of_another_workflow_is_not_resumed(project: Project) -> None:
    project.write("""
        def fail():
            raise ValueError("no")

        @workflow
        def first(ctx):
            return Task("a", Text, run=fail, retries=0)

        @workflow
        def second(ctx):
            return Task("a", Text, run=fail, retries=0)
    """)
    assert project.run("up", "flow.py:first", "-r", "r1").returncode == 1
    said = refused(project, "up", "flow.py:second", "--resume", "r1")
    assert "r1 is a run of first, not of second" in said


@pytest.mark.parametrize(
    "words", [["up", "flow.py", "--resume", "r1"], ["up", "flow.py", "-r", "r1", "--resume"]]
)
def test_another_input_on_resume_is_refused_before_the_file_is_imported(
    project: Project, words: list[str]
) -> None:
    project.write("""
        def fail():
            raise ValueError("no")

        @workflow
        def flow(ctx):
            return Task("a", Text, run=fail, retries=0)
    """)
    assert project.run("up", "flow.py", "-r", "r1", "-i", '{"n": 1}').returncode == 1
    project.write("note('imported')\n")
    said = refused(project, *words, "-i", '{"n": 2}')
    assert said.startswith("[INPUT_CHANGED]")
    assert '{"n":1}' in said
    assert project.executed() == []


def test_a_store_that_is_not_a_database_is_refused_and_not_touched(project: Project) -> None:
    project.write(HELLO)
    other = project.folder / "notes.txt"
    other.write_text("my notes\n" * 100)
    done = project.run("up", "flow.py", "-i", '{"name": "Ada"}', "--store", "notes.txt")
    assert (done.returncode, done.stdout) == (1, "")
    assert "[NOT_A_STORE]" in done.stderr
    assert other.read_text() == "my notes\n" * 100


def test_an_input_above_the_limit_is_refused(project: Project) -> None:
    project.write(HELLO)
    (project.folder / "big.json").write_text(json.dumps({"name": "x" * (1 << 20)}))
    assert "bytes" in refused(project, "up", "flow.py", "-i", "@big.json")


@pytest.mark.parametrize("given", ['{"name": "\\ud800"}', b"\xff".decode(errors="surrogateescape")])
def test_an_input_that_is_no_text_is_refused_and_is_no_bug_of_ours(project: Project, given: str) -> None:
    project.write("""
        @workflow
        def flow(ctx):
            return Task("a", Text, value=Text())
    """)
    assert "[INPUT_INVALID]" in refused(project, "up", "flow.py", "--input", given)


def test_a_resume_in_a_store_that_is_not_there_makes_none(project: Project) -> None:
    project.write("""
        @workflow
        def flow(ctx):
            return Task("a", Text, value=Text())
    """)
    refused(project, "up", "flow.py", "--resume", "r1", "--store", "elsewhere/none.db")
    assert not (project.folder / "elsewhere").exists()
