"""Command lines drawn from a grammar: each is done, or refused in one line, and no dry run writes a file.

    python -m tests.fuzz [--count N] [--seed N] [--out FILE]

Each kind of draw says what must come of it: "valid" ends with exit code 0, "invalid" with 2 and one line, "either" with
one of these. The configs of what is valid are written and read back, as JSON and as an override.
"""

import argparse
import contextlib
import io
import json
import os
import random
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from tests.tables import publish
from toymodels import cli, config, lab
from toymodels.overrides import parse
from toymodels.sweep import Choice, Sweep
from toymodels.train import NUMERICS, Run

ROOT = Path(__file__).parent.parent
PROCESSES = 40  # one draw in so many is a process of its own

Expected = Literal["valid", "invalid", "either"]


class Draw(NamedTuple):
    """A command line, and what must come of it."""

    kind: str
    expected: Expected
    words: list[str]


class Row(NamedTuple):
    """A kind of draw: how often it was tried, refused in one line, done; and what went wrong."""

    kind: str
    tried: int
    refused: int
    valid: int
    wrong: list[str]


class Field(NamedTuple):
    """A sweep of an experiment, the path of a field that no axis sets, and its value."""

    experiment: str
    sweep: str
    path: str
    value: Any


# -------------------------------------------------------------------------------------------------------------- grammar
WEIRD = (
    *(
        "",
        " ",
        "=",
        "==",
        ",",
        "[",
        "]",
        "(",
        ")",
        "()",
        "[]",
        "{}",
        "'",
        '"',
        "\\",
        "--",
        "-",
        "0x10",
        "1_0",
        "1e",
        "NaN",
    ),
    *(
        "nan",
        "inf",
        "-inf",
        "None",
        "none",
        "true",
        "True",
        "٣",
        "²",
        "½",
        "−1",
        "ｎ",
        "Ŵ",
        "🙂",
        "\u202e",
        "\x1b[31m",
        "\t",
    ),
    *(
        "[bold]",
        "[/b]",
        "[red]x[/]",
        ":smile:",
        "%s",
        "{0}",
        "$(ls)",
        "`ls`",
        "../..",
        "/",
        "~",
        "*",
        "a b",
        "1 2",
        "\udcff",
    ),
    *(
        "lambda: 0",
        "__import__('os')",
        "x.y",
        "1/3",
        "1j",
        "b'x'",
        "...",
        "f'{1}'",
        "[1, [2]]",
        "(1,)",
        "1,,2",
        ":",
        "1:",
        ":2",
    ),
    *(
        "0:0",
        "3:1",
        "0:5:0",
        "0:99999999",
        "Sgd",
        "Sgd(",
        "Sgd()",
        "Sgd(1, 2, 3)",
        "Sgd(lr=)",
        "Sgd(lr=Sgd)",
        "Sgd(*[1])",
    ),
    *(
        "Nothing(1)",
        "Tied(Tied(2))",
        "Sparse(-1)",
        "Sparse('5')",
        "Uniform(2, 1)",
        "Adam(Cosine(Cosine(1)))",
        "Record(0)",
    ),
    *("Placed(Tied(2),[[1,2],[3,4]],[0,0])", "PowerLaw", "Geometric(0)", "SquaredError((1,2))", "9" * 5000, "x" * 5000),
)
EXTREME = (
    "1e38",
    "1e39",
    "-1e38",
    "1e-46",
    "1e308",
    "1e309",
    "2147483647",
    "2147483648",
    "-1",
    "0",
    "-0.0",
    "1e18",
    "1000000000",
)
MESSY = (
    "",
    "²/3",
    "1",
    "1/",
    "/2",
    "3/3",
    "-1/2",
    "0/0",
    "1/2/3",
    "a/b",
    "1.0/2",
    " 1 / 2 x",
    "9" * 30 + "/" + "9" * 31,
)
SPOTS = (
    "fig[/b]s",
    "[bold]",
    ":smile:",
    "a b",
    "ｆｉｇ",
    "x" * 300,
    "file",
    "file/below",
    "dir",
    "\x1b[31m",
    "new/a/b",
)


def fields(experiment: str) -> list[Field]:
    """Every field of every sweep at tiny scale, but those that an axis sets."""
    found = []
    for name, sweep in study_of(experiment).sweeps.items():
        bound = {path for axis in sweep.axes for path in axis.paths}
        for path, value in config.paths(sweep.base):
            if not any(path == each or path.startswith(f"{each}.") or each.startswith(f"{path}.") for each in bound):
                found.append(Field(experiment, name, path, value))
    return found


_studies: dict[str, lab.Study] = {}


def study_of(experiment: str) -> lab.Study:
    if experiment not in _studies:
        _studies[experiment] = lab.study(experiment, scale="tiny", runs=Path(tempfile.gettempdir()) / "no-such-pool")
    return _studies[experiment]


class Grammar:
    """Draws of every kind, the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.experiments = [path.stem for path in lab.experiment_files()]

    def draw(self, kind: str) -> Draw:
        expected, words = KINDS[kind](self)
        return Draw(kind, expected, words)

    # ---------------------------------------------------------------------------------------------------------- parts
    def pick(self, options: Any) -> Any:
        return self.chance.choice(list(options))

    def field(self, *types: type) -> Field:
        """A field whose value is of one of these types; any, if there are none."""
        while True:
            chosen = [each for each in fields(self.pick(self.experiments)) if not types or type(each.value) in types]
            if chosen:
                return self.pick(chosen)

    def axis(self, of: type = object) -> tuple[str, str, Any]:
        while True:
            experiment = self.pick(self.experiments)
            name, sweep = self.pick(study_of(experiment).sweeps.items())
            axes = [axis for axis in sweep.axes if isinstance(axis, of)]
            if axes:
                return experiment, name, self.pick(axes)

    def run(self, experiment: str, sweep: str, *words: str) -> list[str]:
        return ["run", experiment, "--scale", "tiny", "--dry-run", "--only", sweep, *words]

    def set(self, field: Field, value: str, alone: bool = False) -> list[str]:
        """The override of every sweep with such a field, or of this one alone, in one of the ways to write it."""
        own = f"{field.sweep}.{field.path}={value}"
        text = own if alone else self.pick([own, f"{field.path}={value}"])
        word = self.pick([text, f"--{text}"]) if value.strip() else text
        return self.run(field.experiment, field.sweep, word)

    # ---------------------------------------------------------------------------------------------------------- kinds
    def valid_axis(self) -> tuple[Expected, list[str]]:
        experiment, sweep, axis = self.axis()
        if axis.name == "seed":
            start = self.chance.randrange(1000)
            return "valid", self.run(experiment, sweep, f"{sweep}.seed={start}:{start + self.chance.randint(1, 9)}")
        labels = self.chance.sample(axis.labels, self.chance.randint(1, len(axis.labels)))
        if any("," in str(label) for label in labels) or not all(
            isinstance(each, str | int | float) for each in labels
        ):
            labels = labels[:1]
        return "valid", self.run(experiment, sweep, f"{sweep}.{axis.name}={','.join(map(str, labels))}")

    def valid_field(self) -> tuple[Expected, list[str]]:
        field = self.field()
        if field.path in ("steps", "batch"):
            return "valid", self.set(field, str(self.chance.randint(1, 5000)), alone=True)
        if field.path in ("record.losses", "record.snapshots", "record.examples", "seed", "stream"):
            return "valid", self.set(field, str(self.chance.randint(1, 500)), alone=True)
        return "valid", self.set(field, written(field.value), alone=True)  # as it is

    def number(self) -> tuple[Expected, list[str]]:
        field = self.field(int, float)
        near = field.value * self.pick([0.5, 1.5, 2]) + self.pick([0, 0, 1, -1])
        return "either", self.set(field, str(int(near) if type(field.value) is int else near))

    def extreme(self) -> tuple[Expected, list[str]]:
        return "either", self.set(self.field(int, float), self.pick(EXTREME))

    def wrong_type(self) -> tuple[Expected, list[str]]:
        field = self.field(int, float, bool)
        values = ["word", "'5'", "[1, 'x']", "Sgd(0.1)", "none", "(1, 2)", "1.5" if type(field.value) is int else "yes"]
        return "invalid", self.set(field, self.pick(values if type(field.value) is int else values[:2]))

    def wrong_config(self) -> tuple[Expected, list[str]]:
        field = self.pick([each for each in fields(self.pick(self.experiments)) if config.is_config(each.value)])
        value = self.pick(["3", "word", "none", "[1, 2]", "true", "'Adam()'"])
        # A rate is a schedule or a number.
        return "either" if value == "3" else "invalid", self.set(field, value)

    def nested(self) -> tuple[Expected, list[str]]:
        field = self.pick([each for each in fields(self.pick(self.experiments)) if config.is_config(each.value)])
        name = self.pick([name for name in config.class_names() if "<" not in name])
        inner = self.pick(["", "2", "0.5", "n=3", "m=2", "Tied(2)", "Sparse(4), Tied(2)", "Components(3,3)", "Relu"])
        return "either", self.set(field, f"{name}({inner})")

    def unknown(self) -> tuple[Expected, list[str]]:
        field = self.field()
        wrong = self.pick(
            [
                "stepz",
                "problm.data",
                "x",
                "problem.",
                ".steps",
                "problem..data",
                "Ŵ",
                "[b]",
                "steps.x",
                f"{field.path}z",
                "1",
            ]
        )
        return "invalid", self.run(field.experiment, field.sweep, f"{wrong}={self.pick(['1', 'x', '[/b]'])}")

    def weird(self) -> tuple[Expected, list[str]]:
        return "either", self.set(self.field(), self.pick(WEIRD))

    def weird_axis(self) -> tuple[Expected, list[str]]:
        experiment, sweep, axis = self.axis()
        return "either", self.run(experiment, sweep, f"{sweep}.{axis.name}={self.pick(WEIRD)}")

    def off_axis(self) -> tuple[Expected, list[str]]:
        experiment, sweep, axis = self.axis(Choice)
        return "invalid", self.run(
            experiment, sweep, f"{sweep}.{axis.name}={self.pick(['nothing', '[/b]', '99', 'Ŵ'])}"
        )

    def twice(self) -> tuple[Expected, list[str]]:
        field = self.field(int, float)
        text = f"{field.sweep}.{field.path}={field.value}"
        return "invalid", self.run(field.experiment, field.sweep, text, self.pick(["", "--"]) + text)

    def noise(self) -> tuple[Expected, list[str]]:
        """Letters in any order."""
        letters = "abp01=.,:()[]'\"\\ -_²Ŵ🙂\n\t[/]"
        text = "".join(self.chance.choice(letters) for _ in range(self.chance.randint(1, 30)))
        # Some letters are the name of an axis.
        return "either", ["run", self.pick(self.experiments), "--scale", "tiny", "--dry-run", f"{text}=1"]

    def shard(self) -> tuple[Expected, list[str]]:
        experiment = self.pick(self.experiments)
        first = self.pick(list(study_of(experiment).sweeps))
        return "invalid", self.run(experiment, first, "--shard", self.pick(MESSY))

    def valid_shard(self) -> tuple[Expected, list[str]]:
        experiment, parts = self.pick(self.experiments), self.chance.randint(1, 9)
        first = self.pick(list(study_of(experiment).sweeps))
        return "valid", self.run(experiment, first, "--shard", f"{self.chance.randrange(parts)}/{parts}")

    def folders(self) -> tuple[Expected, list[str]]:
        option, experiment = self.pick(["--runs", "--figures"]), self.pick(self.experiments)
        first = self.pick(list(study_of(experiment).sweeps))
        return "either", self.run(experiment, first, option, self.pick(SPOTS))

    def options(self) -> tuple[Expected, list[str]]:
        experiment = self.pick(self.experiments)
        wrong = [
            *(["--scale", each] for each in ("huge", "", "Tiny", "[/b]", "²")),
            *(["--cores", each] for each in ("0", "-1", "²", "x", "1.5", "100000", "20000", "9" * 400, "")),
            *([each] for each in ("--bogus", "--dry", "-x", "---", "--only", "--shard", "--steps")),
            *(["--only", each] for each in ("nothing", "[/b]", "🙂", "")),
        ]
        return "invalid", ["run", experiment, "--dry-run", *self.pick(wrong)]

    def names(self) -> tuple[Expected, list[str]]:
        wrong = [
            "nothing",
            "[/b]",
            "🙂",
            "x.py",
            "broken.py",
            "exits.py",
            "empty.py",
            "bytes.py",
            "dir.py",
            "file",
            "/",
            ".",
            "\x1b[31m",
        ]
        name = self.pick([*wrong, "x" * 5000])
        verb = self.pick(["run", "figure", "show", "cell", "verdicts", "replicate", "claims"])
        return "invalid", [
            verb,
            name,
            *(["sweep"] if verb == "cell" else []),
            *(["--dry-run"] if verb == "run" else []),
        ]

    def verbs(self) -> tuple[Expected, list[str]]:
        experiment = self.pick(self.experiments)
        wrong = [
            *([each] for each in ("", "nonsense", "Run", "[/b]", "--version=", "-", "🙂")),
            ["run"],
            ["run", "seed=3"],
            ["figure", experiment, "nothing"],
            ["figure", experiment, "seed=nothing"],
            ["figure", experiment, "--scale", "tiny"],
            ["figure", experiment, "--scale", "tiny", "seed=0:3"],
            ["show", experiment, "steps=3"],
            ["cell", experiment],
            ["cell", experiment, "nothing"],
            [
                "cell",
                experiment,
                self.pick(list(study_of(experiment).sweeps)),
                self.pick(["x=1", "seed", "=", "[/b]=1", "seed="]),
            ],
            ["verdicts", "--scale", "huge"],
            ["verdicts", "nothing", "--out", "new/x.md"],
            ["verdicts", experiment, "--out", "dir"],
            ["verdicts", experiment, "--out", "file/x.md"],
            *(["replicate", experiment, "--offset", each] for each in ("0", "-1", "x", "²", "1.5", "9" * 30)),
            *(["claims", each] for each in ("Z99", "seed=3", "--offset", "A1=", "[/b]")),
            *(["claims", "--out", each] for each in ("dir", "file/x.md")),
            ["migrate", "nowhere"],
            ["migrate", "--runs", "file"],
        ]
        return "invalid", self.pick(wrong)


KINDS: dict[str, Callable[[Grammar], tuple[Expected, list[str]]]] = {
    "labels of an axis": Grammar.valid_axis,
    "the value of a field": Grammar.valid_field,
    "another number": Grammar.number,
    "an extreme number": Grammar.extreme,
    "a value of a wrong type": Grammar.wrong_type,
    "no config where one belongs": Grammar.wrong_config,
    "a config of any class": Grammar.nested,
    "an unknown field": Grammar.unknown,
    "quotes, markup, unicode, code": Grammar.weird,
    "the same for an axis": Grammar.weird_axis,
    "no label of the axis": Grammar.off_axis,
    "a field set twice": Grammar.twice,
    "letters in any order": Grammar.noise,
    "a bad shard": Grammar.shard,
    "a shard": Grammar.valid_shard,
    "odd and bad folders": Grammar.folders,
    "bad options": Grammar.options,
    "bad experiments": Grammar.names,
    "bad verbs, figures, cells, files": Grammar.verbs,
}


# ---------------------------------------------------------------------------------------------------------------- judge
class Outcome(NamedTuple):
    code: int
    out: str
    err: str


def judge(draw: Draw, folder: Path, process: bool = False) -> tuple[int, str]:
    """The exit code of a draw, and what is wrong with it: nothing, if it is as it must be."""
    before = sorted(folder.rglob("*"))
    try:
        done = _process(draw.words, folder) if process else _here(draw.words, folder)
    except Exception as error:
        return 1, f"{type(error).__name__}: {error}"
    if sorted(folder.rglob("*")) != before:
        return done.code, "it wrote files"
    if done.code not in {"valid": (0,), "invalid": (2,), "either": (0, 2)}[draw.expected]:
        return done.code, f"exit code {done.code}: {done.err.strip() or done.out.strip()[-200:]}"
    if done.err.count("\n") != (done.code == 2) or len(done.err) > 2000:
        return done.code, f"not one line: {done.err[:300]}"
    return done.code, lost(draw) if done.code == 0 and draw.words[0] == "run" else ""


def _here(words: list[str], folder: Path) -> Outcome:
    out, err, home = io.StringIO(), io.StringIO(), Path.cwd()
    code: Any = 0
    os.chdir(folder)
    try:
        with (
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            warnings.catch_warnings(record=True) as warned,
        ):
            warnings.simplefilter("always")
            try:
                cli.main(words)
            except SystemExit as stop:
                code = stop.code or 0
    finally:
        os.chdir(home)
    said = "".join(f"{each.filename}: {each.message}\n" for each in warned)
    return Outcome(int(code), out.getvalue(), err.getvalue() + said)


def _process(words: list[str], folder: Path) -> Outcome:
    done = subprocess.run(
        [sys.executable, "-m", "toymodels", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


def lost(draw: Draw) -> str:
    """What is lost when the configs that a valid command line asks for are written and read back."""
    if "--only" not in draw.words:  # drawn without a sweep in mind
        return ""
    words = [word.removeprefix("--") for word in draw.words if "=" in word]
    asked = lab.study(draw.words[1], *words, scale="tiny")
    sweep = asked.sweeps[draw.words[draw.words.index("--only") + 1]]
    for run in ends(sweep):
        for how, again in (
            ("JSON", config.from_dict(json.loads(json.dumps(config.to_dict(run))))),
            ("text", read(run)),
        ):
            if again != run or config.digest(again, NUMERICS) != config.digest(run, NUMERICS):
                return f"not the same through {how}: {run}"
    return ""


def ends(sweep: Sweep) -> list[Run]:
    return [sweep.cell(**{axis.name: axis.labels[place] for axis in sweep.axes}) for place in (0, -1)]


def read(run: Run) -> Run:
    """The run again, through the text of an override."""
    again = parse(written(run))
    assert isinstance(again, Run)
    return again


def written(value: Any) -> str:
    """A value as an override has it: a config as in Python, an array as lists."""
    if config.is_config(value):
        parts = (f"{name}={written(each)}" for name, each in vars(value).items() if not name.startswith("_"))
        return f"{type(value).__name__}({', '.join(parts)})"
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, tuple | list):
        return "[" + ", ".join(map(written, value)) + "]"
    return repr(value)


# ---------------------------------------------------------------------------------------------------------------- table
def prepared(folder: Path) -> Path:
    """A folder with files that are in the way."""
    (folder / "file").write_text("a file is in the way")
    (folder / "dir").mkdir()
    (folder / "dir.py").mkdir()
    (folder / "empty.py").write_text("")
    (folder / "broken.py").write_text("def (")
    (folder / "exits.py").write_text("raise SystemExit(0)")
    (folder / "bytes.py").write_bytes(b"\xff\xfe\x00")
    return folder


def rows(count: int, seed: int = 0) -> Iterator[Row]:
    """So many draws, as equally many of each kind as can be; a kind as soon as it is done."""
    grammar = Grammar(seed)
    for place, kind in enumerate(KINDS):
        own = count // len(KINDS) + (place < count % len(KINDS))
        codes, wrong = [], []
        with tempfile.TemporaryDirectory() as made:
            folder = prepared(Path(made))
            for attempt in range(own):
                draw = grammar.draw(kind)
                # Arguments of a process have no NUL and no half of a letter.
                process = attempt % PROCESSES == PROCESSES - 1 and all(word.isprintable() for word in draw.words)
                code, trouble = judge(draw, folder, process)
                codes.append(code)
                if trouble:
                    wrong.append(f"`toymodels {' '.join(word[:80] for word in draw.words)}`: {trouble}")
        yield Row(kind, own, codes.count(2), codes.count(0), wrong)


def table(found: Iterator[Row]) -> Iterator[str]:
    """As Markdown, and what went wrong below it."""
    yield "| command lines | tried | refused in one line | valid | wrong |\n|---|---|---|---|---|"
    wrong: list[str] = []
    total = [0, 0, 0]
    for row in found:
        yield f"| {row.kind} | {row.tried:,} | {row.refused:,} | {row.valid:,} | {len(row.wrong):,} |"
        wrong += row.wrong
        total = [each + more for each, more in zip(total, row[1:4], strict=True)]
    yield f"| all | {total[0]:,} | {total[1]:,} | {total[2]:,} | {len(wrong):,} |"
    if wrong:
        yield ""
    for each in wrong:
        yield f"- {ascii(each)[1:-1]}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    publish(table(rows(arguments.count, arguments.seed)), arguments.out)


if __name__ == "__main__":
    main()
