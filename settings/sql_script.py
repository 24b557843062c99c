"""SQL scripts of declared jobs: what can be said about one before it runs (host_scripts/java/SqlScript.java splits it
in the same way, and Flink's parser decides there).
"""

import re

from components.problems import shown

_PART = re.compile(r"--[^\n]*|/\*.*?(?:\*/|$)|'(?:[^']|'')*'|`(?:[^`]|``)*`|\"[^\"]*\"|;", re.DOTALL)
_SET_OF_STATEMENTS = re.compile(
    r"(?:EXECUTE\s+)?(?:BEGIN\s+STATEMENT\s+SET|STATEMENT\s+SET\s+BEGIN)\b"
    r"|COMPILE\s.*STATEMENT\s+SET\s+BEGIN\b",
    re.DOTALL | re.IGNORECASE,
)
_END = re.compile(r";\s*END\Z", re.IGNORECASE)
_SET = re.compile(r"SET\b", re.IGNORECASE)
_OPTION = re.compile(r"SET\s+'([^']+)'\s*=\s*'(?:[^']|'')*'", re.IGNORECASE)
_QUERY = re.compile(r"(?:SELECT|WITH|VALUES)\b|\(\s*SELECT\b", re.IGNORECASE)
_MAKES_A_JOB = re.compile(
    r"INSERT\b|EXECUTE\b|COMPILE\s+AND\s+EXECUTE\b|UPDATE\b|DELETE\b"
    r"|(?:CREATE|REPLACE|CREATE\s+OR\s+REPLACE)\s+TABLE\b.*\bAS\s+SELECT\b",
    re.DOTALL | re.IGNORECASE,
)
_ELSEWHERE = {
    "parallelism.default": "parallelism of the job",
    "execution.target": "none: the job runs on the stack's cluster",
    "pipeline.jars": "dependencies of the job",
    "pipeline.classpaths": "dependencies of the job",
}
_SECRET = re.compile(r"\$\{secret:([^}]*)\}")


def statements(script: str) -> list[str]:
    """The statements, without comments (hints stay) and without the semicolon at the end."""
    found, text, end = [], "", 0
    for part in _PART.finditer(script):
        what = part[0]
        comment = what.startswith(("--", "/*")) and not what.startswith("/*+")
        text += script[end : part.start()]
        end = part.end()
        if what == ";" and not _is_open(text.strip()):
            found.append(text.strip())
            text = ""
        else:
            text += " " if comment else what
    return [each for each in [*found, (text + script[end:]).strip()] if each]


def secrets(script: str) -> set[str]:
    """The names of the secrets that the script reads."""
    return set(_SECRET.findall(script))


def problems(script: str) -> list[str]:
    """What is wrong with a script, as far as can be seen; Flink may refuse more."""
    found = []
    known = statements(script)
    for number, statement in enumerate(known, 1):
        where = f"statement {number} ({shown(' '.join(statement.split())[:40])})"
        if _QUERY.match(statement):
            found.append(f"{where} is a query, whose result goes nowhere: expected an INSERT")
        elif _SET.match(statement):
            option = _OPTION.fullmatch(statement)
            if option is None:
                found.append(f"{where} is no SET 'option' = 'value'")
            elif option[1] in _ELSEWHERE:
                found.append(f"{where} sets {option[1]}: expected {_ELSEWHERE[option[1]]}")
            elif option[1].startswith(("$internal.", "execution.state-recovery.")):
                found.append(f"{where} sets {option[1]}, which the program sets: leave it out")
        elif re.match(r"RESET\b", statement, re.IGNORECASE):
            found.append(f"{where} is not supported: leave the SET out that it takes back")
    makers = [number for number, each in enumerate(known, 1) if _makes_a_job(each)]
    if not makers:
        found.append("makes no job: expected one INSERT or one statement set, as the last statement")
    elif len(makers) > 1:
        found.append(
            f"makes {len(makers)} jobs, by the statements {', '.join(map(str, makers))}: expected one INSERT or one"
            " statement set (EXECUTE STATEMENT SET BEGIN ... END)"
        )
    elif makers[0] != len(known):
        found.append(f"has statements after the one that makes the job, number {makers[0]}: expected it last")
    return found


def _is_open(text: str) -> bool:
    return bool(_SET_OF_STATEMENTS.match(text)) and not _END.search(text)


def _makes_a_job(statement: str) -> bool:
    return bool(_MAKES_A_JOB.match(statement) or _SET_OF_STATEMENTS.match(statement))
