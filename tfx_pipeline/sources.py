"""Where settings come from: a YAML file, a profile of it, and the environment, each value with its place."""

import dataclasses
import difflib
import json
import re
import reprlib
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, get_type_hints

import click
import yaml
from pydantic import BaseModel, ValidationError

PREFIX = "LCR_SER_"
FILE_VARIABLE, PROFILE_VARIABLE, LOG_VARIABLE = f"{PREFIX}SETTINGS", f"{PREFIX}PROFILE", f"{PREFIX}LOG_DIR"
_OWN_FILE = f"Set {FILE_VARIABLE} to a settings file, or unset it for the one of this project."
_MERGED = ("evaluation", "thresholds")
"""The one mapping inside of a section that the environment adds to; every other one it replaces."""

Names = tuple[str, ...]
"""Of a setting, from the section on: `("model", "dim")`."""
Kinds = Mapping[Names, type]
"""The class, of pydantic or a dataclass, whose fields a section has; () stands for all sections."""


class SettingsError(click.ClickException, ValueError):
    """A setting that cannot be used: one line that names where it stands, its value and what to do."""


@dataclasses.dataclass(frozen=True)
class Sources:
    """Settings as they were given, not checked yet.

    Attributes:
        values: by section and name; the profile lies over the defaults, the environment over both.
        file: that they were read from.
        profile: of the file.
        origins: where each of the values comes from: `defaults, line 9`, `profile demo, line 99` or a variable.
        lines: of the file, by setting.
        variables: of the environment, by setting.
        kinds: of the sections.
    """

    values: dict[str, Any]
    file: str
    profile: str
    origins: Mapping[Names, str]
    lines: Mapping[Names, int]
    variables: Mapping[Names, str]
    kinds: Kinds

    def error(self, error: ValueError, section: Names = ()) -> SettingsError:
        """Say what is wrong with a section and where that stands.

        Args:
            error: of pydantic, or one whose message names settings in backticks.
            section: that was checked; () is all of them.
        """
        if not isinstance(error, ValidationError):
            return SettingsError(self._placed(str(error), section))
        problems: list[dict[str, Any]] = [dict(problem) for problem in error.errors()]
        missing = [".".join(map(str, problem["loc"])) for problem in problems if problem["type"] == "missing"]
        told = [self._problem(problem, section) for problem in problems if problem["type"] != "missing"]
        if missing:
            variable = PREFIX + missing[0].replace(".", "__").upper()
            told.insert(
                0, f"`{'`, `'.join(missing)}` should be given, in {self.file} or by variables such as {variable}."
            )
        return SettingsError(" ".join(told))

    def require_known(self) -> None:
        """Look for misspelt names.

        Raises:
            SettingsError: for a name that is no field of its section.
        """
        for section, kind in self.kinds.items():
            values, known = self.values.get(section[0]) if section else self.values, _fields(kind)
            unknown = [str(name) for name in values if name not in known] if isinstance(values, dict) else []
            if unknown:
                rule = (
                    f"Settings of {kind.__name__} should be fields of it"
                    if section
                    else f"Settings should be some of {', '.join(known)}"
                )
                raise SettingsError(
                    f"{rule}. Received: {', '.join(unknown)}."
                    f"{_guess(unknown[0], known)}{self._at(*((*section, name) for name in unknown))}"
                )

    def _problem(self, problem: Mapping[str, Any], section: Names) -> str:
        path = (*section, *map(str, problem["loc"]))
        return (
            self._placed(said(problem, section), path)
            if problem["type"] == "value_error"
            else (said(problem, section) + self._at(path))
        )

    def _placed(self, message: str, section: Names) -> str:
        named = [tuple(name.split(".")) for name in re.findall(r"`([\w.]+)`", message)]
        paths = [name if name[:1] == section[:1] else (*section, *name) for name in named]
        given = [path for path in paths if path in self.lines or self._variables(path)]
        return message + self._at(*(given or [section]))

    def _at(self, *paths: Names) -> str:
        places = list(dict.fromkeys(place for path in paths if (place := self._place(path))))
        return f" Set in {' and '.join(places)}." if places else ""

    def _place(self, path: Names) -> str:
        if variables := self._variables(path):
            return ", ".join(variables)
        known = next((path[:end] for end in range(len(path), 0, -1) if path[:end] in self.lines), None)
        return f"{self.file}, line {self.lines[known]}" if known else ""

    def _variables(self, path: Names) -> list[str]:
        return [
            name
            for given, name in self.variables.items()
            if path and (given[: len(path)] == path or path[: len(given)] == given)
        ]


def said(problem: Mapping[str, Any], section: Names = ()) -> str:
    """What one of the `errors()` of a `ValidationError` says, as our own errors do."""
    if problem["type"] == "value_error":
        return str(problem["ctx"]["error"])
    name = ".".join((*section, *map(str, problem["loc"])))
    if problem["type"] == "missing":
        return f"`{name}` should be given."
    message = str(problem["msg"])
    rule = message.partition("should ")[2] or f"be right: {message}"
    rule = rule.replace("valid dictionary", "mapping").replace("valid tuple", "list")
    if problem["type"] in ("model_type", "dataclass_type"):
        rule = "be a mapping"  # and not an object of a class that only the code knows
    if problem["type"] == "string_type":
        rule += ", in quotes"
    what = f"`{name}`" if name else "It"
    return f"{what} should {rule}. Received: {reprlib.repr(problem['input'])}."


def read(file: str, profile: str | None, environment: Mapping[str, str], kinds: Kinds) -> Sources:
    """Read the settings of a profile.

    Args:
        file: with `defaults` and `profiles`.
        profile: name of it; None takes that of the environment, else `own` where that or the file's defaults name a
            log (of the latter, where there is such a profile), else `demo`.
        environment: whose variables `LCR_SER_...` are laid over the file.
        kinds: of the sections.

    Raises:
        SettingsError: for a file that cannot be read or has another form, an unknown profile, or a variable that names
            no field or is neither JSON nor YAML.
    """
    variables = list(_variables(environment, kinds))
    content, lines = _document(file)
    of_file = content["defaults"].get("log_dir") is not None and "own" in content["profiles"]
    default = "own" if environment.get(LOG_VARIABLE, "null") != "null" or of_file else "demo"
    chosen = profile if profile is not None else environment.get(PROFILE_VARIABLE, default)
    profiles = {str(name): values for name, values in content["profiles"].items()}
    if chosen not in profiles:
        raise SettingsError(
            f"`profile` should be one of {', '.join(profiles)} of {file}. Received: {chosen!r}. "
            f"Set {PROFILE_VARIABLE} to one of them."
        )
    if not isinstance(profiles[chosen], dict):
        raise SettingsError(
            f"The profile `{chosen}` should hold settings. Received: {profiles[chosen]!r}. Write "
            f"`{chosen}: {{}}` where it leaves the defaults as they are. "
            f"Set in {file}, line {lines['profiles', chosen]}."
        )
    of_defaults, of_profile = _below(lines, ("defaults",)), _below(lines, ("profiles", chosen))
    values = overlaid(content["defaults"], profiles[chosen])
    origins = {path: f"defaults, line {line}" for path, line in of_defaults.items()}
    origins |= {path: f"profile {chosen}, line {line}" for path, line in of_profile.items()}
    for path, name, value in variables:
        values = _with(values, path, value)
        origins |= dict.fromkeys([path, *_paths(value, path)], name)
    return Sources(
        values,
        file,
        chosen,
        {path: origins[path] for path in _paths(values) if path in origins},
        {**of_defaults, **of_profile},
        {path: name for path, name, _ in variables},
        kinds,
    )


def overlaid(base: Mapping[str, Any], top: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the values of `top` instead of its own; mappings in both are overlaid in turn."""
    merged = dict(base)
    for key, value in top.items():
        nested = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = overlaid(merged[key], value) if nested else value
    return merged


def _paths(values: Any, path: Names = ()) -> Iterator[Names]:
    """The keys that lead to each value of a mapping of mappings."""
    if isinstance(values, dict):
        for name, value in values.items():
            yield (*path, str(name))
            yield from _paths(value, (*path, str(name)))


def _fields(kind: Any) -> Collection[str]:
    if issubclass(kind, BaseModel):
        return list(kind.model_fields)
    return [field.name for field in dataclasses.fields(kind)]


def _is_text(path: Names, kinds: Kinds) -> bool:
    """Whether a setting is text, so that its variable is no list or mapping, however it begins."""
    hints = get_type_hints(kinds[path[:-1]]) if path[:-1] in kinds else {}
    return hints.get(path[-1]) in (str, str | None, Path)


def _guess(name: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f" Did you mean {close[0]}?" if close else ""


def _variables(environment: Mapping[str, str], kinds: Kinds) -> Iterator[tuple[Names, str, Any]]:
    """Setting, variable and value, whole sections before single settings."""
    names = {
        name: tuple(name[len(PREFIX) :].lower().split("__"))
        for name in environment
        if name.startswith(PREFIX) and name not in (FILE_VARIABLE, PROFILE_VARIABLE)
    }
    known = {"settings", "profile", *_fields(kinds[()])}
    if unknown := sorted(name for name, path in names.items() if path[0] not in known):
        # A misspelt setting would never be noticed.
        raise SettingsError(
            f"Variables LCR_SER_... should name one of {', '.join(sorted(known))}. Received: "
            f"{', '.join(unknown)}.{_guess(names[unknown[0]][0], known)}"
        )
    for name, path in sorted(names.items(), key=lambda entry: (len(entry[1]), entry[0])):
        text = environment[name]
        yield path, name, text if _is_text(path, kinds) and text != "null" else _decoded(name, text)


def _decoded(name: str, text: str) -> Any:
    """Lists and mappings of JSON or YAML; what else there is stays text, which pydantic turns into numbers."""
    if text == "null":
        return None
    if not text.lstrip().startswith(("[", "{")):
        return text
    try:
        return json.loads(text)
    except ValueError:
        pass
    try:
        return _Loader(text).get_single_data()
    except yaml.YAMLError as error:
        raise SettingsError(
            f"{name} should hold a list or a mapping, as JSON or YAML, such as [1, 2] or {{a: 1}}: "
            f"{_problem(error)}. Received: {text!r}. Close its brackets and quotes."
        ) from error


def _with(values: Mapping[str, Any], path: Names, value: Any, done: Names = ()) -> dict[str, Any]:
    """`values` with that one at `path`. A section is overlaid, and so are the thresholds; all else is replaced."""
    name, *rest = path
    here = (*done, name)
    old = found if isinstance(found := values.get(name), dict) else {}
    if rest:
        return {**values, name: _with(old, tuple(rest), value, here)}
    merges = isinstance(value, dict) and (len(here) == 1 or here == _MERGED)
    return {**values, name: overlaid(old, value) if merges else value}


class _Loader(yaml.SafeLoader):
    """Leaves times as text: a setting that is one is text, and who forgets the quotes means the same."""

    yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def _document(file: str) -> tuple[dict[str, Any], dict[Names, int]]:
    try:
        with open(file, encoding="utf-8") as stream:
            text = stream.read()
        node, content = _Loader(text).get_single_node(), _Loader(text).get_single_data()
    except OSError as error:
        raise SettingsError(
            f"The settings file should be one that can be read. Received: {file!r}: {error.strerror}. {_OWN_FILE}"
        ) from error
    except UnicodeDecodeError as error:
        raise SettingsError(
            f"The settings file should be YAML in UTF-8. Received: {file}: {error}. {_OWN_FILE}"
        ) from error
    except yaml.YAMLError as error:
        raise SettingsError(f"{file}{_marked(error, text)}") from error
    if not isinstance(content, dict):
        received = "an empty file" if content is None else reprlib.repr(content)
        raise SettingsError(f"{file} should hold `defaults` and `profiles`. Received: {received}. {_OWN_FILE}")
    lines = dict(_lines(node, file))
    for name in ("defaults", "profiles"):
        if not isinstance(content.get(name), dict):
            where = f", line {lines[name,]}" if name in content else ""
            raise SettingsError(
                f"{file}{where} should hold `{name}`, a mapping. "
                f"Received: {reprlib.repr(content.get(name))}. {_OWN_FILE}"
            )
    if unknown := [str(name) for name in content if name not in ("defaults", "profiles")]:
        raise SettingsError(
            f"{file}, line {lines[unknown[0],]} should hold `defaults` and `profiles` alone. "
            f"Received: {', '.join(unknown)}. Settings stand in one of the two."
        )
    return content, lines


def _problem(error: yaml.YAMLError) -> str:
    return str(getattr(error, "problem", None) or error).splitlines()[0]


def _marked(error: yaml.YAMLError, text: str) -> str:
    """The line at which YAML breaks off, what is wrong with it, and what to do."""
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return f" is no YAML: {_problem(error)}. Mend it."
    line = "".join(text.splitlines()[mark.line : mark.line + 1])
    remedy = "Use blanks instead of tabs." if "\t" in line else "Mend the YAML there."
    return f", line {mark.line + 1}: {_problem(error)}. Received: {line!r}. {remedy}"


def _lines(node: Any, file: str, path: Names = ()) -> Iterator[tuple[Names, int]]:
    """The line of each key of a mapping, by the keys that lead to it."""
    if not isinstance(node, yaml.MappingNode):
        return
    count = Counter(str(key.value) for key, _ in node.value)
    for key, value in node.value:
        name, line = str(key.value), key.start_mark.line + 1
        if count[name] > 1:
            raise SettingsError(
                f"{file}, line {line}: `{'.'.join((*path, name))}` stands there {count[name]} times. Keep one of them."
            )
        yield (*path, name), line
        yield from _lines(value, file, (*path, name))


def _below(lines: Mapping[Names, int], path: Names) -> dict[Names, int]:
    return {names[len(path) :]: line for names, line in lines.items() if names[: len(path)] == path != names}
