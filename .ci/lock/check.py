"""Whether a lock file is behind its manifest, as far as that can be told without a registry: check.py MANIFEST LOCK

Each dependency must be locked under the package that asks for it, in a version that fulfils what is asked for, and nothing else
may be. What cargo alone knows (features, dependencies of dependencies) is cargo's to tell.
"""

import re
import sys
import tomllib
from pathlib import Path

# Of a package that is built for another one its tests' dependencies are not locked.
BUILT = ("dependencies", "build-dependencies")
ALL = (*BUILT, "dev-dependencies")


def read(path: Path) -> dict:
    with open(path, "rb") as file:
        return tomllib.load(file)


def asked_for(manifest: dict, kinds: tuple[str, ...]) -> list[tuple[str, dict]]:
    """Names and wishes, of every platform."""
    tables = [manifest, *manifest.get("target", {}).values()]
    entries = [entry for table in tables for kind in kinds for entry in table.get(kind, {}).items()]
    wishes = [(name, wish if isinstance(wish, dict) else {"version": wish}) for name, wish in entries]
    return [(wish.get("package", name), wish) for name, wish in wishes]


def fulfils(version: str, requirement: str) -> bool:
    """The requirements that are used here: `1`, `0.39`, `1.2.3` and `=1.2.3`. Any other is cargo's to judge."""
    if requirement.startswith("="):
        return version == requirement.removeprefix("=").strip()
    if not re.fullmatch(r"\d+(\.\d+){0,2}", requirement):
        return True
    wanted = [int(part) for part in requirement.split(".")]
    found = [int(part) for part in re.split(r"[-+]", version)[0].split(".")]
    # Up to the first part that is not 0, nothing may differ.
    fixed = next((place for place, part in enumerate(wanted) if part), len(wanted) - 1) + 1
    return found[:fixed] == wanted[:fixed] and found >= wanted


def behind(path: Path, locked: list[dict], kinds: tuple[str, ...]) -> list[str]:
    manifest = read(path)
    package = manifest["package"]
    name = package["name"]
    entry = next((one for one in locked if one["name"] == name), None)
    if entry is None or entry["version"] != package["version"]:
        return [f"{name} {package['version']} is not locked"]
    # `name`, or `name version` where there are several.
    named = [one.split(" ") for one in entry.get("dependencies", [])]
    wrong = []
    for wanted, wish in asked_for(manifest, kinds):
        versions = [
            one["version"]
            for one in locked
            if any(part[0] == one["name"] == wanted and part[1:2] in ([], [one["version"]]) for part in named)
        ]
        if not any(fulfils(version, wish.get("version", "*")) for version in versions):
            wrong.append(f"{name} needs {wanted} {wish.get('version', '')}: locked is {', '.join(versions) or 'none'}")
        if "path" in wish:
            wrong += behind(path.parent / wish["path"] / "Cargo.toml", locked, BUILT)
    known = {wanted for wanted, _ in asked_for(manifest, kinds)}
    return wrong + [f"{name} does not need {part[0]}" for part in named if part[0] not in known]


def main() -> int:
    manifest, lock = map(Path, sys.argv[1:])
    wrong = behind(manifest, read(lock)["package"], ALL)
    for line in wrong:
        print(f"{lock} is behind {manifest}: {line}")
    return 1 if wrong else 0


sys.exit(main())
