"""Do the tests bite? Plant small faults in the library, each by itself, and see whether a test fails.

    pip install coverage mutmut
    python tests/mutants.py cover FOLDER                                # once: which test runs which line, how long
    python tests/mutants.py run FOLDER --seed 20 --count 400            # faults as `mutations.py` draws them
    python tests/mutants.py run FOLDER --seed 20 --count 400 --again    # what survived, after the tests were mended
    python tests/mutants.py report FOLDER --seed 20 --count 400         # experiments/results/mutants.json

Work is done on a copy of the tree in FOLDER. A process that has imported the packages the tests need forks a child
for every fault; the child runs only tests that run the line, those of its own room first, quick ones first, until one
fails. FOLDER/results-SEED.jsonl grows by a line for every fault: survived, killed (by which test), timeout, or
uncovered. A fault that survives the first `--budget` seconds of tests counts as a survivor. `cover` takes paths of
tests whose lines have changed; several in one process, if commas join them. `report` counts the first drawn as far as
they were run; what survived and changes nothing stands in `equivalent_mutants.toml`, with a reason.
"""

import argparse
import contextlib
import gc
import importlib.metadata
import itertools
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
import tomllib
import traceback
from collections import defaultdict
from pathlib import Path

from mutations import ROOT, draw

PYTEST = ["-q", "-x", "-n", "0", "-p", "no:cacheprovider", "--tb=line"]
PYTEST += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # its plugins are imported before it starts
OURS = ("pyro_priors", "models", "inference", "experiments", "tests")


def copy_tree(work: Path) -> Path:
    """The files of the tree as they are now, without git's; unchanged ones keep what was compiled of them."""
    tree = work / "tree"
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True)
    names = [name for name in listed.stdout.decode().splitlines() if (ROOT / name).is_file()]
    for path in [path for path in tree.rglob("*.py") if str(path.relative_to(tree)) not in set(names)]:
        path.unlink()
    for name in names:
        source, target = ROOT / name, tree / name
        if not target.exists() or target.read_bytes() != source.read_bytes():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
    return tree


def enter(tree: Path) -> None:
    """Everything that is imported, here or in processes that tests start, comes from the copy."""
    os.chdir(tree)
    sys.path[:] = [str(tree), str(tree / "tests"), *(p for p in sys.path if p and not p.startswith(str(ROOT)))]
    os.environ.update(PYTHONPATH=str(tree), OMP_NUM_THREADS="1", MPLBACKEND="Agg")


def cover(work: Path, paths: list[str]) -> None:
    """Run tests under coverage; FOLDER/cover/NAME.json says which test ran which line, per path given."""
    import coverage
    import pytest

    tree = copy_tree(work)
    for path in paths:
        if os.fork():
            os.wait()
            continue
        enter(tree)
        measure = coverage.Coverage(data_file=None, source=["pyro_priors"], config_file=False)
        tests: dict[str, list] = {}  # seconds, outcome, whether it starts processes, whose lines nobody counts
        sys.addaudithook(
            lambda event, args: event in ("os.fork", "subprocess.Popen") and now and tests[now[-1]].__setitem__(2, True)
        )
        now: list[str] = []

        class Recorder:
            @pytest.hookimpl(wrapper=True)
            def pytest_runtest_protocol(self, item):
                measure.switch_context(item.nodeid)
                tests[item.nodeid] = [0.0, "passed", False]
                now.append(item.nodeid)
                result = yield
                now.clear()
                measure.switch_context("")
                return result

            def pytest_runtest_logreport(self, report):
                tests[report.nodeid][0] += report.duration
                if report.outcome != "passed":
                    tests[report.nodeid][1] = report.outcome

        measure.start()
        pytest.main([*(flag for flag in PYTEST if flag != "-x"), *path.split(",")], plugins=[Recorder()])
        measure.stop()
        lines: dict[str, list[str]] = {}
        data = measure.get_data()
        for name in data.measured_files():
            for line, contexts in data.contexts_by_lineno(name).items():
                lines[f"{Path(name).relative_to(tree)}:{line}"] = contexts
        modules = [m for m, module in sys.modules.items() if getattr(module, "__spec__", None)]
        out = work / "cover" / (path.replace("/", "-")[:100] + ".json")
        out.parent.mkdir(exist_ok=True)
        out.write_text(json.dumps({"tests": tests, "lines": lines, "modules": modules}))
        os._exit(0)


class Covered:
    """Which tests to run for a line, in which order."""

    def __init__(self, work: Path, budget: float):
        self.tests, self.lines, self.modules = {}, defaultdict(set), {}
        self.budget = budget
        for part in sorted((work / "cover").glob("*.json")):
            read = json.loads(part.read_text())
            self.tests |= read["tests"]
            self.modules |= dict.fromkeys(read["modules"])
            for line, contexts in read["lines"].items():
                self.lines[line] |= set(contexts) - {""}
        self.of_file = defaultdict(set)
        for line, tests in self.lines.items():
            self.of_file[line.rsplit(":", 1)[0]] |= tests

    def of(self, file: str, line: int, statement: int) -> list[str]:
        """Tests of a line; of the whole file where it runs at import. After them those that share their
        fixtures, or that run the file and start processes."""
        places = [place for place in (f"{file}:{line}", f"{file}:{statement}") if place in self.lines]
        tests = self.lines[places[0]] if places else set()
        if not tests and places:
            tests = self.of_file[file]
        room = Path(file).parent.name
        good = [t for t in tests if self.tests[t][1] == "passed"]
        order = sorted(good, key=lambda t: (f"/{room}/" not in t, self.tests[t][0]))
        files = {t.split("::")[0] for t in good}
        beside = {
            test
            for test, (_, outcome, *starts) in self.tests.items()
            if outcome == "passed" and (test.split("::")[0] in files or (any(starts) and test in self.of_file[file]))
        }
        order += sorted(beside - set(order), key=lambda t: self.tests[t][0])
        chosen, spent = [], 0.0
        for test in order:
            spent += self.tests[test][0] + 0.01
            if spent > self.budget and chosen:
                break
            chosen.append(test)
        return chosen


def child(tests: list[str], log: Path, limit: float) -> None:
    """In the forked process: run the tests; the exit status is pytest's."""
    os.setsid()
    sys.dont_write_bytecode = True
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    resource.setrlimit(resource.RLIMIT_DATA, (8 << 30, 8 << 30))
    resource.setrlimit(resource.RLIMIT_CPU, (int(limit), int(limit) + 5))
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(out, 1)
    os.dup2(out, 2)
    import pytest

    status = 70
    try:
        status = int(pytest.main([*PYTEST, *tests]))
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def attempt(tests: list[str], log: Path, limit: float) -> tuple[str, str]:
    """Fork, wait, and read from pytest's summary which test failed; so many seconds of computing are the limit."""
    pid = os.fork()
    if pid == 0:
        child(tests, log, limit)
    until, status = time.monotonic() + 10 * limit, None  # of waiting: others may use the processors
    while status is None and time.monotonic() < until:
        done, code = os.waitpid(pid, os.WNOHANG)
        status = os.waitstatus_to_exitcode(code) if done else time.sleep(0.02)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    if status is None:
        os.waitpid(pid, 0)
    if status in (None, -signal.SIGXCPU):
        return "timeout", ""
    text = log.read_text(errors="replace").splitlines()
    if status in (4, 5, 70):
        raise RuntimeError(f"pytest did not run: {text[-20:]}")
    by = next((s.split(" - ")[0] for s in text if s.startswith(("FAILED ", "ERROR "))), text[-1] if text else "")
    return ("survived" if status == 0 else "killed"), by if status else ""


def run(work: Path, seed: int, count: int, budget: float, again: bool) -> None:
    mutants, covered, tree = draw(seed, count), Covered(work, budget), copy_tree(work)
    results, log = work / f"results-{seed}.jsonl", work / "log.txt"
    former = [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
    status = {(r["file"], r["start"], r["length"], r["after"]): r["status"] for r in former}
    enter(tree)
    subprocess.run([sys.executable, "-m", "compileall", "-q", *OURS], check=True)
    ours = {*OURS, "__main__", "__mp_main__", *(path.stem for path in tree.glob("tests/**/*.py"))}
    for name in covered.modules:
        if name.split(".")[0] not in ours:
            with contextlib.suppress(BaseException):
                importlib.import_module(name)
    assert not any(name.split(".")[0] in OURS for name in sys.modules), "the library is imported afresh for every fault"
    gc.collect()
    gc.freeze()  # so that children share what their parent has imported
    for mutant in mutants:
        key = (mutant["file"], mutant["start"], mutant["length"], mutant["after"])
        if key in status and not (again and status[key] in ("survived", "uncovered")):
            continue
        path, code = tree / mutant["file"], mutant.pop("code")
        tests = covered.of(mutant["file"], mutant["line"], mutant["statement"])
        began, kept, times = time.monotonic(), path.read_bytes(), path.stat()
        outcome, by = ("uncovered", "") if not tests else ("survived", "")
        path.write_bytes(code)
        try:
            for part in (tests[:12], tests[12:]):  # most faults are seen by the first few
                if part and outcome == "survived":
                    limit = 20 + 5 * sum(covered.tests[test][0] for test in part)
                    outcome, by = attempt(part, log, limit)
        finally:
            path.write_bytes(kept)
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
        seconds = round(time.monotonic() - began, 1)
        line = {**mutant, "status": outcome, "by": by, "tests": len(tests), "seconds": seconds}
        with results.open("a") as out:
            out.write(json.dumps(line) + "\n")
        print(mutant["id"], outcome, seconds, f"{mutant['file']}:{mutant['line']}", by, flush=True)


def report(work: Path, seed: int, count: int) -> None:
    """Count what the first drawn came to, as far as they were run, and write it down for readers."""
    sys.path.insert(0, str(ROOT))
    from models.shared.runs import provenance

    identity = ("file", "start", "length", "after")
    results = [json.loads(line) for line in (work / f"results-{seed}.jsonl").read_text().splitlines()]
    status = {tuple(r[name] for name in identity): r["status"] for r in results}
    table = tomllib.loads((ROOT / "tests" / "equivalent_mutants.toml").read_text())["mutant"]
    reasons = {(m["file"], m["statement"], m["before"], m["after"]): m["reason"] for m in table}
    drawn = [(mutant, status.get(tuple(mutant[name] for name in identity))) for mutant in draw(seed, count)]
    drawn = list(itertools.takewhile(lambda pair: pair[1], drawn))  # behind a gap the draw is no longer fair
    killed, survivors, equivalents = 0, [], []
    for mutant, outcome in drawn:
        statement = (ROOT / mutant["file"]).read_text().splitlines()[mutant["line"] - 1].strip()
        place = {name: mutant[name] for name in ("file", "line", "operator", "before", "after")}
        reason = reasons.get((mutant["file"], statement, mutant["before"], mutant["after"]))
        if outcome in ("killed", "timeout"):
            assert reason is None, f"a test tells it from what it should be like: {place}"
            killed += 1
        elif reason is None:
            survivors.append({**place, "statement": statement})
        else:
            equivalents.append({**place, "reason": reason})
    made = provenance()
    made["command"] = ["python", "tests/mutants.py", "report", work.name, "--seed", str(seed), "--count", str(count)]
    made["versions"] |= {name: importlib.metadata.version(name) for name in ("pytest", "coverage", "mutmut")}
    numbers = {"seed": seed, "count": len(drawn), "killed": killed}
    numbers |= {"survived": len(survivors), "equivalent": len(equivalents)}
    content = {**numbers, "survivors": survivors, "equivalents": equivalents, "provenance": made}
    (ROOT / "experiments" / "results" / "mutants.json").write_text(json.dumps(content, indent=2) + "\n")
    print(numbers)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["cover", "run", "report"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("paths", nargs="*", default=["tests", *OURS[:-1]])
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--count", type=int, default=400)
    parser.add_argument("--budget", type=float, default=60.0, help="seconds of tests that a fault has to survive")
    parser.add_argument("--again", action="store_true", help="those that survived")
    args = parser.parse_args()
    folder = args.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    if args.command == "cover":
        cover(folder, args.paths)
    elif args.command == "report":
        report(folder, args.seed, args.count)
    else:
        run(folder, args.seed, args.count, args.budget, args.again)
