"""Whether a bill of materials is CycloneDX 1.5, and names what the lock file has and nothing else: check.py BOM LOCK"""

import json
import sys
import tomllib

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator


def main() -> int:
    bom_path, lock_path = sys.argv[1:]
    with open(bom_path, encoding="utf-8") as file:
        text = file.read()
    error = JsonStrictValidator(SchemaVersion.V1_5).validate_str(text)
    if error:
        print(f"it is not CycloneDX 1.5: {error}")
        return 1
    bom = json.loads(text)
    with open(lock_path, "rb") as file:
        locked = {
            (package["name"], package["version"]): package.get("checksum")
            for package in tomllib.load(file)["package"]
        }
    ours = (bom["metadata"]["component"]["name"], bom["metadata"]["component"]["version"])
    told = {
        (part["name"], part["version"]): {one["content"] for one in part.get("hashes", [])}
        for part in bom["components"]
    }
    wrong = [part for part, hashes in told.items() if locked.get(part) not in hashes]
    for name, version in wrong:
        print(f"{name} {version} is not what the lock file has")
    # Parts of other systems only, and of tests, are locked and not built in; a short list is a list of something else.
    direct = {dependency["ref"]: dependency.get("dependsOn", []) for dependency in bom["dependencies"]}
    refs = {part["bom-ref"] for part in bom["components"]}
    loose = [ref for needed in direct.values() for ref in needed if ref not in refs]
    for ref in loose:
        print(f"{ref} is needed and not listed")
    print(f"{ours[0]} {ours[1]}: {len(told)} of {len(locked) - 1} locked parts are built in")
    return 1 if wrong or loose or ours not in locked or len(told) < 100 else 0


sys.exit(main())
