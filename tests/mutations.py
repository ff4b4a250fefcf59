"""Small faults in the library, one at a time, drawn by a seed: what `mutants.py` plants.

They are all that mutmut's operators make of the functions of `pyro_priors`, its texts left out (a number that is 1
more, an operator or condition turned, an argument None or gone, a value None, ...), and those of two operators of our
own: a statement that is gone, an `if` that is negated. What only says something is left alone: annotations and `cast`,
docstrings, decorators, what is raised (whether it is raised is not), `strict` of `zip` (it is an assertion),
`__repr__` and `extra_repr`.
"""

import ast
import contextlib
import random
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
UNCHANGED = ("len", "isinstance", "super", "cast")  # calls that mutmut leaves alone, and what only types read
SILENT = ("__repr__", "__str__", "extra_repr")


def candidates(source: str) -> list[dict]:
    """All mutants of a file: operator, span in bytes, line, and what stands there instead."""
    import libcst as cst
    from libcst.metadata import ByteSpanPositionProvider, MetadataWrapper, PositionProvider
    from mutmut.mutation.mutators import mutation_operators

    out: list[dict] = []
    operators = [(kind, rule) for kind, rule in mutation_operators if kind is not cst.BaseString]

    class Visitor(cst.CSTVisitor):
        METADATA_DEPENDENCIES = (ByteSpanPositionProvider, PositionProvider)
        depth = statement = 0  # statement: the line on which it begins

        def add(self, name, node, mutated):
            span, place = self.get_metadata(ByteSpanPositionProvider, node), self.get_metadata(PositionProvider, node)
            code = mutated if isinstance(mutated, str) else cst.Module([]).code_for_node(mutated)
            where = {"line": place.start.line, "start": span.start, "length": span.length}
            out.append({"operator": name, **where, "statement": self.statement, "after": code})

        def on_visit(self, node):
            if isinstance(node, cst.SimpleStatementLine | cst.BaseCompoundStatement):
                self.statement = self.get_metadata(PositionProvider, node).start.line
            calls = isinstance(node, cst.Call) and isinstance(node.func, cst.Name)
            if isinstance(node, cst.Annotation | cst.Decorator | cst.Import | cst.ImportFrom):
                return False
            if calls and node.func.value in UNCHANGED:
                return False
            if isinstance(node, cst.FunctionDef):
                if node.name.value in SILENT:
                    return False
                self.depth += 1
            if not self.depth:
                return True
            text = isinstance(node, cst.Expr) and isinstance(node.value, cst.BaseString | cst.Ellipsis)
            strict = isinstance(node, cst.Arg) and node.keyword is not None and node.keyword.value == "strict"
            if isinstance(node, cst.Raise | cst.AugAssign | cst.Expr | cst.Del | cst.Assert) and not text:
                self.add("statement gone", node, "pass")
            if isinstance(node, cst.If):
                self.add("if negated", node.test, f"not ({cst.Module([]).code_for_node(node.test)})")
            if isinstance(node, cst.Raise) or text or strict:
                return False
            for kind, rule in operators:
                if isinstance(node, kind):
                    for mutated in rule(node):
                        if not (calls and node.func.value == "zip" and mutated.args[-1] is not node.args[-1]):
                            self.add(rule.__name__.removeprefix("operator_"), node, mutated)
            return True

        def on_leave(self, node):
            if isinstance(node, cst.FunctionDef) and node.name.value not in SILENT:
                self.depth -= 1

    MetadataWrapper(cst.parse_module(source)).visit(Visitor())
    return out


def draw(seed: int, count: int) -> list[dict]:
    """Mutants that compile and differ from the file, in the order in which the seed draws them."""
    pool = [
        {"file": str(path.relative_to(ROOT)), **mutant}
        for path in sorted((ROOT / "pyro_priors").rglob("*.py"))
        for mutant in candidates(path.read_text())
    ]
    print(f"{len(pool)} mutants in all")
    drawn: list[dict] = []
    for mutant in random.Random(seed).sample(pool, len(pool)):
        original = (ROOT / mutant["file"]).read_bytes()
        start, stop = mutant["start"], mutant["start"] + mutant["length"]
        code = original[:start] + mutant["after"].encode() + original[stop:]
        with contextlib.suppress(SyntaxError):
            if ast.dump(ast.parse(code)) != ast.dump(ast.parse(original)):
                compile(code, mutant["file"], "exec")
                drawn.append({"id": len(drawn), **mutant, "before": original[start:stop].decode(), "code": code})
        if len(drawn) == count:
            break
    return drawn
