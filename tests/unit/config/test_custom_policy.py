"""A user's own policy in a configuration: found, tried and put into the snapshot, or a mistake with a line."""

from __future__ import annotations

import json
import re
import textwrap
from pathlib import Path

import pytest

from lb.config import snapshot as snapshot_file
from lb.model import CUSTOM, CustomPolicy, Snapshot
from lb.policies.custom import Custom
from lb.policies.table import create
from tests.unit.config.writing import loaded, mistakes
from tests.unit.policies.context import FakeContext

DOCS = Path(__file__).resolve().parents[3] / "docs" / "policies.md"
GOOD = """
    class Mine:
        def __init__(self, share=0.1, **more):
            self.share = share
        def build(self, members, eligible):
            return lambda ctx: eligible[0]
    """
BACKENDS = "backends: [http://h:1, http://h:2]"


def policies(folder: Path, text: str, name: str = "policies.py") -> Path:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(textwrap.dedent(text))
    return path


def config(policy: str, routes: str = "") -> str:
    return f"pools:\n  web:\n    policy: {policy}\n    {BACKENDS}\n{routes}"


def custom(folder: Path, policy: str) -> CustomPolicy:
    found = loaded(folder, config(policy)).pools[0]
    assert found.policy == CUSTOM and found.custom is not None
    return found.custom


def documented() -> tuple[str, str]:
    """The example of the documentation: its Python and its YAML."""
    found = re.search(r"```python\n(class Fastest.*?)```\n```yaml\n(.*?)```", DOCS.read_text(), re.DOTALL)
    assert found is not None
    return found[1], found[2]


def test_what_it_prints_while_it_is_tried_is_not_in_anybodys_answer(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A publisher and `lb check --json` answer on their standard output."""
    policies(
        tmp_path,
        """
        import os, subprocess, sys
        print("imported")
        os.write(1, b"imported")
        subprocess.run([sys.executable, "-c", "print('imported')"], check=True)
        class Mine:
            def build(self, members, eligible):
                print("built", file=sys.stderr)
                def pick(ctx):
                    print("picked")
                    return eligible[0]
                return pick
        """,
    )
    print("before")
    custom(tmp_path, "{class: 'policies:Mine'}")
    print("behind")
    assert capfd.readouterr() == ("before\nbehind\n", "")


def test_the_documented_example_works_and_is_short(tmp_path: Path) -> None:
    code, yaml = documented()
    assert len(code.splitlines()) <= 15
    policies(tmp_path, code)
    pool = loaded(tmp_path, yaml).pools[0]
    policy = create(CUSTOM, pool)
    assert isinstance(policy, Custom)
    reports: list[bool] = []
    policy.report = reports.append
    ctx = FakeContext(loads=[0, 0], latencies=[0.2, 0.01])
    pick = policy.build(pool.backends, (0, 1))
    picked = [pick(ctx) for _ in range(2000)]
    assert 0.01 < picked.count(0) / 2000 < 0.05
    assert reports == []


def test_all_of_it(tmp_path: Path) -> None:
    file = policies(tmp_path, GOOD)
    said = "{class: policies:Mine, options: {share: 0.5, deep: [1, {a: true}]}, fallback: random, budget: 2ms, build_budget: 1s}"
    found = custom(tmp_path, said)
    assert json.loads(found.options) == {"share": 0.5, "deep": [1, {"a": True}]}
    assert (found.spec, found.file, found.source) == ("policies:Mine", str(file), file.read_text())
    assert (found.fallback, found.pick_budget_s, found.build_budget_s) == ("random", 0.002, 1.0)


def test_it_reaches_the_workers(tmp_path: Path) -> None:
    policies(tmp_path, GOOD)
    whole = Snapshot(1, loaded(tmp_path, config("{class: policies:Mine}")), "", {})
    snapshot_file.write(str(tmp_path / "s.json"), whole)
    assert snapshot_file.read(str(tmp_path / "s.json")) == whole


@pytest.mark.parametrize(("name", "spec"), [("own/fast.py", "own.fast:Mine"), ("own2/__init__.py", "own2:Mine")])
def test_where_modules_are(tmp_path: Path, name: str, spec: str) -> None:
    file = policies(tmp_path, GOOD, name)
    assert custom(tmp_path, f"{{class: {spec}}}").file == str(file)


def test_nothing_of_pythons_is_hidden_by_a_file_of_the_same_name(tmp_path: Path) -> None:
    policies(tmp_path, GOOD, "json.py")
    [mistake] = mistakes(tmp_path, config("{class: json:Mine}"))
    assert "`json` has no `Mine`" in mistake


def test_it_may_import_what_lies_beside_it(tmp_path: Path) -> None:
    policies(tmp_path, "SHARE = 0.25\n", "beside_it.py")
    policies(tmp_path, "from beside_it import SHARE\n" + textwrap.dedent(GOOD))
    assert custom(tmp_path, "{class: policies:Mine}")


def test_a_changed_text_is_taken_and_the_old_module_stays_where_the_new_one_fails(tmp_path: Path) -> None:
    policies(tmp_path, GOOD.replace("eligible[0]", "eligible[1]"), "changing.py")
    policy = config("{class: changing:Mine}")

    def picked() -> int:
        pool = loaded(tmp_path, policy).pools[0]
        return create(CUSTOM, pool).build(pool.backends, (0, 1))(FakeContext())

    assert picked() == 1
    policies(tmp_path, GOOD.replace("eligible[0]", "eligible[0]  # same size"), "changing.py")
    assert picked() == 0
    policies(tmp_path, "raise ValueError('half written')", "changing.py")
    [mistake] = mistakes(tmp_path, policy)
    assert mistake.startswith("3:21: it cannot be imported: ValueError: half written (")
    assert mistake.endswith("changing.py:1)")


BROKEN = {
    "nowhere": ("", "{class: nowhere:Mine}", "3:21: there is no module `nowhere` in "),
    "no-colon": (
        GOOD,
        "{class: policies.Mine}",
        "3:21: expected module:Class such as policies:Fastest, got `policies.Mine`",
    ),
    "compiled": (GOOD, "{class: _json:Mine}", "3:21: "),
    "no-class": (GOOD, "{class: policies:Yours}", "3:21: `policies` has no `Yours`"),
    "syntax": ("class Mine:\n  def\n", "{class: policies:Mine}", "3:21: it cannot be imported: SyntaxError: "),
    "exit": ("import sys\nsys.exit(1)\n", "{class: policies:Mine}", "3:21: it cannot be imported: SystemExit: 1"),
    "options": (
        GOOD,
        "{class: policies:Mine, options: {self: 1}}",
        "3:21: it cannot be made with these `options`: TypeError",
    ),
    "no-build": ("class Mine: pass\n", "{class: policies:Mine}", "3:21: `policies:Mine` is no class with a `build("),
    "gadget": (
        "",
        "{class: 'subprocess:Popen', options: {args: 'false'}}",
        "3:21: `subprocess:Popen` is no class with a",
    ),
    "function": ("def Mine(): raise OSError\n", "{class: policies:Mine}", "3:21: `policies:Mine` is no class with a"),
    "build": (
        GOOD.replace("return lambda ctx: eligible[0]", "raise OSError"),
        "{class: policies:Mine}",
        "3:21: its `build` fails: ",
    ),
    "pick": (GOOD.replace("eligible[0]", "1 / 0"), "{class: policies:Mine}", "3:21: its pick fails: ZeroDivisionError"),
    "nobody": (
        GOOD.replace("eligible[0]", "2"),
        "{class: policies:Mine}",
        "3:21: its pick returned 2, which is no position",
    ),
    "none": (GOOD.replace("eligible[0]", "None"), "{class: policies:Mine}", "3:21: its pick returned None, which"),
    "fallback": (GOOD, "{class: policies:Mine, fallback: custom}", "3:46: expected a policy that comes with lb"),
    "nameless": (GOOD, "custom", "3:13: the policy `custom` needs a `class`"),
    "alone": (
        GOOD,
        "{options: {a: 1}}",
        "3:14: `options` is an option of the policy `custom`, this pool's is `peak_ewma`",
    ),
    "other": (GOOD, "{name: random, class: policies:Mine}", "3:28: `class` is an option of the policy `custom`"),
}


@pytest.mark.parametrize(("code", "policy", "message"), BROKEN.values(), ids=BROKEN)
def test_mistakes_have_a_line(tmp_path: Path, code: str, policy: str, message: str) -> None:
    policies(tmp_path, code)
    [found] = mistakes(tmp_path, config(policy))
    assert found.startswith(message)


def test_one_that_waits_is_a_mistake(tmp_path: Path) -> None:
    policies(tmp_path, GOOD.replace("eligible[0]", "__import__('gevent').sleep(0)"))
    [found] = mistakes(tmp_path, config("{class: policies:Mine}"))
    assert "its pick fails: SwitchRefused: it wanted to wait" in found


def test_a_route_may_use_it_beside_the_pools_own(tmp_path: Path) -> None:
    policies(tmp_path, GOOD)
    routes = "routes: [{path: /x, pool: web, policy: custom}, {pool: web}]\n"
    found = loaded(tmp_path, config("{name: random, class: policies:Mine}", routes))
    assert (found.pools[0].policy, found.routes[0].policy) == ("random", "custom")
    [mistake] = mistakes(tmp_path, config("random", routes))
    assert mistake == "5:40: the policy `custom` needs a `class` in the `policy` of the pool `web`"
